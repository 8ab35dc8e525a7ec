#include "cases.hpp"

#include <locale>
#include <nlohmann/json.hpp>
#include <sstream>

namespace plasticity::bench {
namespace {

std::vector<Case> experiments() {
  return {{"experiments",
           {.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 40, .neurons = 200},
           30,
           100,
           12},
          {"experiments",
           {.rule = Rule::hard_clip, .rate = Rate::modulated, .inputs = 40, .neurons = 100},
           30,
           200,
           12},
          {"experiments", {.rule = Rule::decay, .neurons = 256}, 32, 30, 12},
          {"experiments", {.rule = Rule::decay, .neurons = 1000}, 1, 106, 5},
          {"experiments",
           {.cell = Cell::lstm,
            .rule = Rule::hard_clip,
            .rate = Rate::fan_out,
            .alpha = Granularity::post,
            .inputs = 40,
            .neurons = 200},
           30,
           50,
           8}};
}

/// Sweeps along one axis through N 128, B 8, T 20.
void add_sweeps(std::vector<Case>& all) {
  constexpr std::int64_t neurons = 128, batch = 8, steps = 20;
  for (const std::int64_t N : {32, 64, 128, 256, 512, 1024})
    all.push_back({"sweep_N", {.rule = Rule::decay, .neurons = N}, batch, steps});
  for (const std::int64_t B : {1, 2, 4, 8, 16, 32, 64})
    all.push_back({"sweep_B", {.rule = Rule::decay, .neurons = neurons}, B, steps});
  for (const std::int64_t T : {5, 20, 80, 320})
    all.push_back({"sweep_T", {.rule = Rule::decay, .neurons = neurons}, batch, T});
}

void add_cells(std::vector<Case>& all) {
  constexpr std::int64_t size = 128, batch = 8, steps = 20;
  const auto add = [&](Spec spec, Precision precision = Precision::f32) {
    spec.neurons = size;
    spec.inputs = spec.cell == Cell::rnn ? 0 : size;
    all.push_back({"cells", spec, batch, steps, 0, precision});
  };
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    for (const Rule rule :
         {Rule::decay, Rule::oja, Rule::hard_clip, Rule::soft_clip, Rule::additive, Rule::read_clip})
      add({.cell = cell, .rule = rule});
    for (const Rate rate : {Rate::modulated, Rate::fan_out, Rate::external})
      add({.cell = cell, .rule = Rule::hard_clip, .rate = rate});
  }
  for (const Eligibility eligibility : {Eligibility::before, Eligibility::after})
    add({.rule = Rule::hard_clip, .rate = Rate::modulated, .eligibility = eligibility});
  for (const Precision precision : {Precision::f64, Precision::bf16})
    add({.rule = Rule::hard_clip, .rate = Rate::fan_out}, precision);
}

}  // namespace

std::string Case::name() const {
  std::ostringstream name;
  name.imbue(std::locale::classic());
  name << to_string(spec.cell) << '_' << to_string(spec.rule);
  if (spec.rate != Rate::fixed) name << '_' << to_string(spec.rate);
  if (spec.has_eligibility()) name << '_' << to_string(spec.eligibility);
  name << "_N" << spec.neurons << "_B" << batch << "_T" << steps;
  if (precision != Precision::f32) name << '_' << to_string(precision);
  return name.str();
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> cases = experiments();
    add_sweeps(cases);
    add_cells(cases);
    return cases;
  }();
  return all;
}

std::string cases_as_json() {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Case& c : cases()) {
    list.push_back({{"name", c.name()},
                    {"group", c.group},
                    {"target", c.target},
                    {"precision", to_string(c.precision)},
                    {"options",
                     {{"cell", to_string(c.spec.cell)},
                      {"rule", to_string(c.spec.rule)},
                      {"rate", to_string(c.spec.rate)},
                      {"eligibility", to_string(c.spec.eligibility)},
                      {"alpha", to_string(c.spec.alpha)},
                      {"neurons", c.spec.neurons},
                      {"inputs", c.spec.inputs},
                      {"batch", c.batch},
                      {"steps", c.steps}}}});
  }
  return list.dump(1);
}

}  // namespace plasticity::bench
