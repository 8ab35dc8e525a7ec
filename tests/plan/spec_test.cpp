#include "plasticity/spec.hpp"

#include <gtest/gtest.h>

#include "plasticity/arguments.hpp"

namespace plasticity {
namespace {

template <class Enum>
void expect_round_trip() {
  int index = 0;
  for (const std::string_view name : names<Enum>()) {
    EXPECT_EQ(parse<Enum>(name, "value"), static_cast<Enum>(index++));
    EXPECT_EQ(to_string(parse<Enum>(name, "value")), name);
  }
  EXPECT_GT(index, 1);
}

TEST(Spec, NamesGoBothWays) {
  expect_round_trip<Cell>();
  expect_round_trip<Rule>();
  expect_round_trip<Rate>();
  expect_round_trip<Eligibility>();
  expect_round_trip<Granularity>();
  expect_round_trip<Activation>();
  expect_round_trip<ModulatorSource>();
  expect_round_trip<Precision>();
}

TEST(Spec, ShapesFollowTheEquations) {
  const Spec lstm{
      .cell = Cell::lstm, .rate = Rate::fan_out, .alpha = Granularity::post, .inputs = 3, .neurons = 5};
  EXPECT_EQ(parameter_shape(lstm, "w_in"), (Shape{{3, 20}, 2}));
  EXPECT_EQ(parameter_shape(lstm, "w_gates"), (Shape{{5, 15}, 2}));
  EXPECT_EQ(parameter_shape(lstm, "alpha"), (Shape{{5}, 1}));
  EXPECT_EQ(parameter_shape(lstm, "eta"), std::nullopt);
  EXPECT_EQ(state_shape(lstm, 2, "c"), (Shape{{2, 5}, 2}));
  const Spec layer{.cell = Cell::feedforward, .inputs = 3, .neurons = 5};
  EXPECT_EQ(parameter_shape(layer, "w"), (Shape{{3, 5}, 2}));
  EXPECT_EQ(parameter_shape(layer, "w_in"), std::nullopt);
  EXPECT_EQ(input_shape(layer, 4, 2, "pre"), (Shape{{4, 2, 3}, 3}));
  EXPECT_EQ(state_shape(layer, 2, "y"), std::nullopt);
  EXPECT_EQ(state_shape(layer, 2, "hebb"), (Shape{{2, 3, 5}, 3}));
  EXPECT_EQ(state_shape(layer, 2, "eligibility"), std::nullopt);
  EXPECT_EQ(parameter_shape(layer, "nonsense"), std::nullopt);
}

}  // namespace
}  // namespace plasticity
