#include "plasticity/spec.hpp"

#include <gtest/gtest.h>

#include "plasticity/arguments.hpp"
#include "plasticity/error.hpp"

namespace plasticity {
namespace {

/// Checks that names() lists `expected`, and that to_string() and parse() convert each name.
template <class Enum>
void expect_names(std::initializer_list<std::string_view> expected) {
  const auto list = names<Enum>();
  EXPECT_TRUE(std::equal(list.begin(), list.end(), expected.begin(), expected.end()));
  int index = 0;
  for (const std::string_view name : expected) {
    EXPECT_EQ(parse<Enum>(name, "value"), static_cast<Enum>(index++));
    EXPECT_EQ(to_string(parse<Enum>(name, "value")), name);
  }
  for (const int beyond : {-1, index, 1000})
    EXPECT_EQ(to_string(static_cast<Enum>(beyond)), "(no such value)");
}

TEST(Spec, NamesParseToTheirEnumerators) {
  expect_names<Cell>({"feedforward", "rnn", "lstm"});
  expect_names<Rule>({"decay", "oja", "hard_clip", "soft_clip", "additive", "read_clip"});
  expect_names<Rate>({"fixed", "modulated", "fan_out", "external"});
  expect_names<Eligibility>({"none", "before", "after"});
  expect_names<Granularity>({"scalar", "post", "connection", "none"});
  expect_names<Activation>({"tanh", "sigmoid", "relu", "identity", "softmax"});
  expect_names<ModulatorSource>({"hidden", "cell"});
  expect_names<Precision>({"f64", "f32", "bf16"});
  expect_names<Execution>({"automatic", "step", "graph", "cta", "cluster", "grid"});
  EXPECT_EQ(parse<Cell>("lstm", "cell"), Cell::lstm);
  EXPECT_EQ(parse<Rule>("read_clip", "rule"), Rule::read_clip);
  EXPECT_EQ(parse<Rate>("external", "rate"), Rate::external);
  EXPECT_EQ(parse<Activation>("softmax", "activation"), Activation::softmax);
}

/// Returns the field that validate() must name by the equations, or "" for a valid spec.
std::string invalid_field(const Spec& spec) {
  if (spec.cell != Cell::rnn && spec.inputs == 0) return "spec.inputs";
  if (spec.alpha == Granularity::none && spec.eligibility != Eligibility::none) return "spec.eligibility";
  if (spec.alpha == Granularity::none && spec.rate != Rate::fixed) return "spec.rate";
  if (spec.eligibility != Eligibility::none && spec.rate == Rate::fixed) return "spec.rate";
  if (spec.cell == Cell::lstm && spec.activation != Activation::tanh) return "spec.activation";
  if (spec.cell != Cell::lstm && spec.modulator_source == ModulatorSource::cell)
    return "spec.modulator_source";
  return "";
}

// Every combination: validate() throws for the invalid ones, naming the field, and for no other.
TEST(Spec, ValidatesEveryCombination) {
  int valid = 0, invalid = 0;
  const auto each = []<class Enum>(Enum& field, auto body) {
    for (std::size_t value = 0; value < names<Enum>().size(); ++value) {
      field = static_cast<Enum>(value);
      body();
    }
  };
  Spec spec{.neurons = 3};
  const auto check = [&] {
    for (const std::int64_t inputs : {0, 2}) {
      spec.inputs = inputs;
      const std::string field = invalid_field(spec);
      try {
        spec.validate();
        ++valid;
        EXPECT_EQ(field, "") << to_string(spec);
      } catch (const Error& error) {
        ++invalid;
        EXPECT_EQ(error.code(), ErrorCode::invalid_spec);
        EXPECT_NE(field, "") << error.what();
        EXPECT_TRUE(std::string(error.what()).starts_with(field + ": expected ")) << error.what();
      }
    }
  };
  each(spec.cell, [&] {
    each(spec.rule, [&] {
      each(spec.rate, [&] {
        each(spec.eligibility, [&] {
          each(spec.alpha, [&] { each(spec.activation, [&] { each(spec.modulator_source, check); }); });
        });
      });
    });
  });
  const int rules = static_cast<int>(names<Rule>().size());
  EXPECT_EQ(valid + invalid, 3 * rules * 4 * 3 * 4 * 5 * 2 * 2);
  // Rules, alphas, and rates with eligibilities; then per cell: rnn 5 activations with and without inputs,
  // feedforward 5 activations, lstm 2 modulator sources. Without alpha: one rate, no eligibility.
  EXPECT_EQ(valid, rules * (3 * (4 * 3 - 2) + 1) * (5 * 2 + 5 + 2));
}

TEST(Spec, DerivedProperties) {
  const Spec rnn{.neurons = 5}, layer{.cell = Cell::feedforward, .inputs = 3, .neurons = 5};
  const Spec lstm{.cell = Cell::lstm, .rate = Rate::fan_out, .inputs = 3, .neurons = 5};
  EXPECT_EQ(rnn.presynaptic(), 5);
  EXPECT_EQ(layer.presynaptic(), 3);
  EXPECT_EQ(lstm.presynaptic(), 5);
  EXPECT_EQ(rnn.gates(), 1);
  EXPECT_EQ(lstm.gates(), 4);
  EXPECT_TRUE(rnn.is_recurrent() && lstm.is_recurrent() && !layer.is_recurrent());
  EXPECT_TRUE(rnn.has_eta() && !lstm.has_eta());
  EXPECT_TRUE(lstm.has_modulator() && !rnn.has_modulator());
  EXPECT_TRUE(rnn == (Spec{.neurons = 5}));
  EXPECT_FALSE(rnn == (Spec{.neurons = 5, .clip = 2}));
}

TEST(Spec, OneLineDescription) {
  EXPECT_EQ(to_string(Spec{.neurons = 200}), "rnn decay fixed alpha=connection tanh I=0 N=200");
  EXPECT_EQ(
      to_string(Spec{.cell = Cell::lstm,
                     .rule = Rule::hard_clip,
                     .rate = Rate::modulated,
                     .eligibility = Eligibility::before,
                     .alpha = Granularity::post,
                     .modulator_source = ModulatorSource::cell,
                     .inputs = 4,
                     .neurons = 5,
                     .clip = .5}),
      "lstm hard_clip modulated eligibility=before alpha=post tanh modulator_source=cell clip=0.5 I=4 N=5");
  EXPECT_EQ(to_string(Spec{.rule = Rule::hard_clip, .neurons = 2, .clip = double{.1f}}),
            "rnn hard_clip fixed alpha=connection tanh clip=0.10000000149011612 I=0 N=2");
}

struct ShapeRow {
  const char* name;
  std::optional<Shape> rnn, layer, lstm;
};

// Shapes by the equations, for an rnn with an input current, a feedforward layer and an lstm.
TEST(Spec, ShapesFollowTheEquations) {
  const Spec rnn{
      .rate = Rate::external, .eligibility = Eligibility::after, .alpha = Granularity::scalar, .neurons = 5};
  const Spec layer{.cell = Cell::feedforward, .inputs = 3, .neurons = 5};
  const Spec lstm{
      .cell = Cell::lstm, .rate = Rate::fan_out, .alpha = Granularity::post, .inputs = 3, .neurons = 5};
  const auto none = std::nullopt;
  const auto vector = [](std::int64_t size) { return Shape{{size}, 1}; };
  const auto matrix = [](std::int64_t rows, std::int64_t columns) { return Shape{{rows, columns}, 2}; };
  const auto cube = [](std::int64_t a, std::int64_t b, std::int64_t c) { return Shape{{a, b, c}, 3}; };

  const ShapeRow parameters[] = {
      {"w_in", none, none, matrix(3, 20)},
      {"b", none, none, vector(20)},
      {"w", matrix(5, 5), matrix(3, 5), matrix(5, 5)},
      {"w_gates", none, none, matrix(5, 15)},
      {"alpha", vector(1), matrix(3, 5), vector(5)},
      {"eta", vector(1), vector(1), none},
      {"modulator.weight", none, none, vector(5)},
      {"modulator.bias", none, none, vector(1)},
      {"fan_out.weight", none, none, vector(5)},
      {"fan_out.bias", none, none, vector(5)},
      {"nonsense", none, none, none},
      {"", none, none, none},
  };
  for (const ShapeRow& row : parameters) {
    EXPECT_EQ(parameter_shape(rnn, row.name), row.rnn) << row.name;
    EXPECT_EQ(parameter_shape(layer, row.name), row.layer) << row.name;
    EXPECT_EQ(parameter_shape(lstm, row.name), row.lstm) << row.name;
  }
  const ShapeRow inputs[] = {
      {"x", none, none, cube(4, 2, 3)},
      {"u", cube(4, 2, 5), cube(4, 2, 5), cube(4, 2, 20)},
      {"pre", none, cube(4, 2, 3), none},
      {"rate", cube(4, 2, 5), none, none},
      {"y", none, none, none},
  };
  for (const ShapeRow& row : inputs) {
    EXPECT_EQ(input_shape(rnn, 4, 2, row.name), row.rnn) << row.name;
    EXPECT_EQ(input_shape(layer, 4, 2, row.name), row.layer) << row.name;
    EXPECT_EQ(input_shape(lstm, 4, 2, row.name), row.lstm) << row.name;
  }
  const ShapeRow states[] = {
      {"y", matrix(2, 5), none, matrix(2, 5)},
      {"c", none, none, matrix(2, 5)},
      {"hebb", cube(2, 5, 5), cube(2, 3, 5), cube(2, 5, 5)},
      {"eligibility", cube(2, 5, 5), none, none},
      {"x", none, none, none},
  };
  for (const ShapeRow& row : states) {
    EXPECT_EQ(state_shape(rnn, 2, row.name), row.rnn) << row.name;
    EXPECT_EQ(state_shape(layer, 2, row.name), row.layer) << row.name;
    EXPECT_EQ(state_shape(lstm, 2, row.name), row.lstm) << row.name;
  }
  const Spec projected{.inputs = 3, .neurons = 5};
  EXPECT_EQ(parameter_shape(projected, "w_in"), matrix(3, 5));
  EXPECT_EQ(parameter_shape(projected, "b"), vector(5));
  EXPECT_EQ(input_shape(projected, 4, 2, "u"), cube(4, 2, 5));
  EXPECT_EQ(cube(4, 2, 5).elements(), 40);
  EXPECT_EQ(Shape{}.elements(), 1);
}

// members() lists every field of the struct with its name in files.
template <class Group>
void expect_members(std::initializer_list<std::string_view> expected) {
  constexpr auto members = Group::members();
  EXPECT_EQ(sizeof(Group), members.size() * sizeof(void*));
  ASSERT_EQ(members.size(), expected.size());
  Group group;
  auto name = expected.begin();
  char places[16];
  for (std::size_t k = 0; k < members.size(); ++k) {
    EXPECT_EQ(members[k].name, *name++);
    EXPECT_EQ(group.*members[k].pointer, nullptr);  // not null if a field is listed twice
    group.*members[k].pointer = reinterpret_cast<double*>(places + k);
  }
}

TEST(Arguments, MembersListEveryField) {
  expect_members<Parameters<double>>({"w_in", "b", "w", "w_gates", "alpha", "eta", "modulator.weight",
                                      "modulator.bias", "fan_out.weight", "fan_out.bias"});
  expect_members<Inputs<double>>({"x", "u", "pre", "rate"});
  expect_members<State<double>>({"y", "c", "hebb", "eligibility"});
}

}  // namespace
}  // namespace plasticity
