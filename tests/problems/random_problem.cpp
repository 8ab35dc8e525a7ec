#include "problems/random_problem.hpp"

#include <sstream>

namespace plasticity::testing {
namespace {

std::vector<double> draw(std::mt19937_64& random, std::int64_t size, double scale, double centre = 0) {
  std::uniform_real_distribution<double> uniform(-scale, scale);
  std::vector<double> values(static_cast<std::size_t>(size));
  for (double& value : values) value = static_cast<float>(centre + uniform(random));
  return values;
}

template <class To>
std::map<std::string, std::vector<To>> convert(const std::map<std::string, std::vector<double>>& from) {
  std::map<std::string, std::vector<To>> to;
  for (const auto& [name, values] : from) {
    std::vector<To>& converted = to[name];
    for (const double value : values) converted.push_back(static_cast<To>(value));
  }
  return to;
}

template <class Enum>
int count_of() {
  return static_cast<int>(drawn_count<Enum>());
}

/// A clip with clipped and free entries. Does not advance `random`.
double random_clip(Rule rule, std::mt19937_64 random) {
  const double centre = rule == Rule::read_clip ? .25 : .35;
  return static_cast<float>(std::uniform_real_distribution<double>(.9 * centre, 1.1 * centre)(random));
}

}  // namespace

std::string TestCase::name() const {
  std::ostringstream text;
  text << to_string(spec) << " T=" << steps << " B=" << batch << " seed=" << seed
       << (reset.empty() ? "" : " reset") << (length.empty() ? "" : " length")
       << (clamp.empty() ? "" : " clamp");
  return text.str();
}

Spec random_spec(std::mt19937_64& random, std::int64_t neurons, std::int64_t inputs) {
  Spec spec;
  spec.cell = pick_any<Cell>(random);
  spec.rule = pick_any<Rule>(random);
  spec.eligibility = pick_any<Eligibility>(random);
  do {
    spec.rate = pick_any<Rate>(random);
  } while (spec.has_eligibility() && spec.rate == Rate::fixed);
  spec.alpha = pick_any<Granularity>(random);
  if (spec.cell == Cell::lstm) {
    spec.modulator_source = pick_any<ModulatorSource>(random);
  } else {
    spec.activation = pick_any<Activation>(random);
  }
  spec.neurons = neurons;
  spec.inputs = spec.cell == Cell::rnn && random() % 2 == 0 ? 0 : inputs;
  spec.clip = random_clip(spec.rule, random);
  return spec;
}

Spec large_spec(std::mt19937_64& random, Cell cell) {
  Spec spec;
  do {
    spec = random_spec(random, cell == Cell::feedforward ? 131 : 803, cell == Cell::feedforward ? 4409 : 6);
  } while (spec.cell != cell || spec.alpha != Granularity::connection);
  return spec;
}

Spec nonplastic_spec(std::mt19937_64& random, std::int64_t neurons, std::int64_t inputs) {
  Spec spec = random_spec(random, neurons, inputs);
  spec.alpha = Granularity::none;
  spec.rate = Rate::fixed;
  spec.eligibility = Eligibility::none;
  spec.modulator_source = ModulatorSource::hidden;
  return spec;
}

std::vector<Spec> every_mix(std::mt19937_64& random, std::int64_t neurons, std::int64_t inputs) {
  std::vector<Spec> specs;
  const int cells = count_of<Cell>(), rules = count_of<Rule>(), rates = count_of<Rate>();
  for (int index = 0; index < cells * rules * rates * count_of<Eligibility>(); ++index) {
    const auto cell = static_cast<Cell>(index % cells);
    Spec spec;
    do {
      spec = random_spec(random, neurons, inputs);
    } while (spec.cell != cell);
    spec.rule = static_cast<Rule>(index / cells % rules);
    spec.clip = random_clip(spec.rule, random);
    spec.rate = static_cast<Rate>(index / (cells * rules) % rates);
    spec.eligibility = static_cast<Eligibility>(index / (cells * rules * rates));
    if (!spec.has_eligibility() || spec.rate != Rate::fixed) specs.push_back(spec);
  }
  return specs;
}

MaskChoice random_masks(std::mt19937_64& random) {
  return {random() % 3 == 0, random() % 3 == 0, random() % 3 == 0};
}

TestCase make_test_case(const Spec& spec, std::int64_t steps, std::int64_t batch, std::uint64_t seed,
                        MaskChoice masks) {
  std::mt19937_64 random(seed);
  TestCase problem{spec, steps, batch, seed, {}, {}, {}, {}, {}};
  // Unbounded activity grows through its own traces, so its weights and inputs are small.
  const bool bounded = spec.activation != Activation::identity && spec.activation != Activation::relu;
  const double fan_in = (bounded ? 1 : .3) / std::sqrt(static_cast<double>(spec.presynaptic()));
  for (const auto& member : Parameters<double>::members()) {
    const auto shape = parameter_shape(spec, member.name);
    if (!shape) continue;
    const std::string name(member.name);
    double scale = fan_in, centre = 0;
    if (name == "w_in") scale = 1 / std::sqrt(static_cast<double>(spec.inputs));
    if (name == "eta") {
      scale = .15;
      centre = .3;
    }
    // With a clearly negative rate a decaying trace would grow at every step.
    if (name == "modulator.weight") scale = 1 / std::sqrt(static_cast<double>(spec.neurons));
    if (name == "modulator.bias") {
      scale = .3;
      centre = .3;
    }
    if (name == "fan_out.weight") scale = .4;
    if (name == "fan_out.bias") {
      scale = .3;
      centre = .2;
    }
    problem.inputs["param." + name] = draw(random, shape->elements(), scale, centre);
  }
  for (const auto& member : Inputs<double>::members()) {
    const auto shape = input_shape(spec, steps, batch, member.name);
    if (!shape) continue;
    const bool rate = member.name == "rate";
    if (member.name == "u" && problem.inputs.contains("input.x")) {
      // Half of the cases have a current beside x. It has random numbers of its own.
      std::mt19937_64 other(seed + 1);
      if (seed % 2 == 0) problem.inputs["input.u"] = draw(other, shape->elements(), .4);
      continue;
    }
    problem.inputs["input." + std::string(member.name)] =
        draw(random, shape->elements(), rate ? .5 : (bounded ? 1 : .4), rate ? .1 : 0);
  }
  for (const auto& member : State<double>::members()) {
    const auto shape = state_shape(spec, batch, member.name);
    if (!shape) continue;
    const std::string name = "state." + std::string(member.name);
    double scale = .3;
    if (member.name == "hebb" && spec.rule == Rule::soft_clip) scale = 1.15;  // beyond its bound of 1
    if (member.name == "hebb" && has_clip(spec.rule)) {
      scale = 1.5 * spec.clip;
    }
    problem.inputs[name] = draw(random, shape->elements(), scale);
    problem.upstream[name] = draw(random, shape->elements(), member.name == "hebb" ? fan_in : .5);
  }
  problem.upstream["y"] = draw(random, steps * batch * spec.neurons, 1);
  const auto flag = [&](std::uint64_t one_in) -> std::uint8_t {
    if (random() % one_in != 0) return 0;
    return pick<std::uint8_t>(random, {1, 1, 2, 255});  // any value except 0 means on
  };
  if (masks.reset) {
    for (std::int64_t k = 0; k < steps * batch; ++k) problem.reset.push_back(flag(4));
  }
  if (masks.length) {
    for (std::int64_t b = 0; b < batch; ++b) {
      problem.length.push_back(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(steps + 1)));
    }
  }
  if (masks.clamp) {
    std::vector<double>& value = problem.inputs["clamp_value"];
    value = draw(random, steps * batch * spec.neurons, 1);
    for (double& each : value) {
      problem.clamp.push_back(flag(3));
      if (problem.clamp.back() == 0) each = std::numeric_limits<double>::quiet_NaN();  // must not be read
    }
  }
  return problem;
}

TestCase with_preactivation(TestCase problem) {
  std::mt19937_64 random(problem.seed + 2);
  problem.upstream["a"] = draw(random, problem.steps * problem.batch * problem.spec.neurons, 1);
  return problem;
}

TestCase alone(const TestCase& problem, std::int64_t b) { return slice(problem, b, 1); }

TestCase slice(const TestCase& problem, std::int64_t b, std::int64_t count) {
  const std::int64_t B = problem.batch, T = problem.steps;
  TestCase one = problem;
  one.batch = count;
  const auto keep = [&](auto& values, std::int64_t outer) {
    if (values.empty()) return;
    const std::int64_t columns = static_cast<std::int64_t>(values.size()) / (outer * B);
    auto kept = values;
    kept.clear();
    for (std::int64_t t = 0; t < outer; ++t) {
      const auto first = values.begin() + (t * B + b) * columns;
      kept.insert(kept.end(), first, first + count * columns);
    }
    values = kept;
  };
  for (auto& [name, values] : one.inputs) {
    if (name.starts_with("input.") || name == "clamp_value") keep(values, T);
    if (name.starts_with("state.")) keep(values, 1);
  }
  for (auto& [name, values] : one.upstream) keep(values, name == "y" || name == "a" ? T : 1);
  keep(one.reset, T);
  keep(one.clamp, T);
  keep(one.length, 1);
  return one;
}

TestCase window(const TestCase& problem, std::int64_t first, std::int64_t last) {
  TestCase part = problem;
  part.steps = last - first;
  const auto keep = [&](auto& values) {
    const auto width = static_cast<std::int64_t>(values.size()) / problem.steps;
    auto kept = values;
    kept.assign(values.begin() + first * width, values.begin() + last * width);
    values = kept;
  };
  for (auto& [name, values] : part.inputs) {
    if (name.starts_with("input.") || name == "clamp_value") keep(values);
  }
  keep(part.upstream.at("y"));
  if (part.upstream.contains("a")) keep(part.upstream.at("a"));
  keep(part.reset);
  keep(part.clamp);
  for (std::int64_t& length : part.length) length = std::clamp<std::int64_t>(length - first, 0, part.steps);
  return part;
}

template <class Real>
Buffers<Real>::Buffers(const TestCase& problem)
    : inputs(convert<Real>(problem.inputs)), upstream_(convert<Real>(problem.upstream)) {
  const Real nan(std::numeric_limits<double>::quiet_NaN());
  const Spec& spec = problem.spec;
  const auto input = [&](const std::string& name) -> const Real* {
    const auto found = inputs.find(name);
    return found == inputs.end() ? nullptr : found->second.data();
  };
  const auto gradient = [&](const std::string& name, Real first) -> Real* {
    const auto found = inputs.find(name);
    return found == inputs.end() ? nullptr
                                 : (gradients[name] = std::vector<Real>(found->second.size(), first)).data();
  };
  for (const auto& member : Parameters<const Real>::members()) {
    forward.parameters.*member.pointer = input("param." + std::string(member.name));
  }
  for (const auto& member : Inputs<const Real>::members()) {
    forward.inputs.*member.pointer = input("input." + std::string(member.name));
  }
  for (const auto& member : State<const Real>::members()) {
    const std::string name = "state." + std::string(member.name);
    forward.initial_state.*member.pointer = input(name);
    const auto found = upstream_.find(name);
    if (found != upstream_.end()) backward.dfinal_state.*member.pointer = found->second.data();
  }
  if (!problem.reset.empty()) forward.masks.reset = problem.reset.data();
  if (!problem.length.empty()) forward.masks.length = problem.length.data();
  if (!problem.clamp.empty()) {
    forward.masks.clamp = problem.clamp.data();
    forward.masks.clamp_value = input("clamp_value");
  }
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
  backward.masks = forward.masks;
  backward.initial_state = forward.initial_state;
  backward.dy = upstream_.at("y").data();

  const auto rows = static_cast<std::size_t>(problem.steps * problem.batch);
  forward.y = (outputs["y"] = std::vector<Real>(rows * static_cast<std::size_t>(spec.neurons), nan)).data();
  if (const auto da = upstream_.find("a"); da != upstream_.end()) {
    backward.da = da->second.data();
    forward.a = (outputs["a"] = std::vector<Real>(da->second.size(), nan)).data();
  }
  if (spec.has_modulator())
    forward.modulation = (outputs["modulation"] = std::vector<Real>(rows, nan)).data();
  for (const auto& member : State<Real>::members()) {
    const std::string name = "state." + std::string(member.name);
    const auto initial = inputs.find(name);
    if (initial == inputs.end()) continue;
    forward.final_state.*member.pointer =
        (outputs[name] = std::vector<Real>(initial->second.size(), nan)).data();
    backward.dinitial_state.*member.pointer = gradient(name, nan);
  }
  for (const auto& member : Parameters<Real>::members()) {
    backward.dparameters.*member.pointer = gradient("param." + std::string(member.name), Real(0));
  }
  for (const auto& member : Inputs<Real>::members()) {
    backward.dinputs.*member.pointer = gradient("input." + std::string(member.name), nan);
  }
}

template class Buffers<float>;
template class Buffers<double>;
template class Buffers<std::complex<double>>;

}  // namespace plasticity::testing
