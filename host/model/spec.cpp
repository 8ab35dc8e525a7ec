#include "plasticity/spec.hpp"

#include <array>
#include <cmath>

#include "base/exact_text.hpp"
#include "base/throw_error.hpp"

namespace plasticity {
namespace {

template <class Enum>
struct Names;
template <>
struct Names<Cell> {
  static constexpr std::array<std::string_view, 3> list{"feedforward", "rnn", "lstm"};
};
template <>
struct Names<Rule> {
  static constexpr std::array<std::string_view, 6> list{"decay",     "oja",      "hard_clip",
                                                        "soft_clip", "additive", "read_clip"};
};
template <>
struct Names<Rate> {
  static constexpr std::array<std::string_view, 4> list{"fixed", "modulated", "fan_out", "external"};
};
template <>
struct Names<Eligibility> {
  static constexpr std::array<std::string_view, 3> list{"none", "before", "after"};
};
template <>
struct Names<Granularity> {
  static constexpr std::array<std::string_view, 4> list{"scalar", "post", "connection", "none"};
};
template <>
struct Names<Activation> {
  static constexpr std::array<std::string_view, 5> list{"tanh", "sigmoid", "relu", "identity", "softmax"};
};
template <>
struct Names<ModulatorSource> {
  static constexpr std::array<std::string_view, 2> list{"hidden", "cell"};
};
template <>
struct Names<Precision> {
  static constexpr std::array<std::string_view, 3> list{"f64", "f32", "bf16"};
};
template <>
struct Names<Execution> {
  static constexpr std::array<std::string_view, 6> list{"automatic", "step",    "graph",
                                                        "cta",       "cluster", "grid"};
};

template <class Enum>
std::string_view name_of(Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < Names<Enum>::list.size() ? Names<Enum>::list[index] : std::string_view("(no such value)");
}

template <class Enum>
void check_enumerator(Enum value, const char* field) {
  const auto index = static_cast<int>(value);
  const auto count = static_cast<int>(Names<Enum>::list.size());
  if (index < 0 || index >= count) {
    throw_error(ErrorCode::invalid_spec, str_cat("spec.", field),
                str_cat("a value of its enumeration (0 to ", count - 1, ")"), str_cat(index));
  }
}

[[noreturn]] void bad_spec(const std::string& field, const std::string& expected, const std::string& got) {
  throw_error(ErrorCode::invalid_spec, "spec." + field, expected, got);
}

}  // namespace

std::string_view to_string(Cell value) { return name_of(value); }
std::string_view to_string(Rule value) { return name_of(value); }
std::string_view to_string(Rate value) { return name_of(value); }
std::string_view to_string(Eligibility value) { return name_of(value); }
std::string_view to_string(Granularity value) { return name_of(value); }
std::string_view to_string(Activation value) { return name_of(value); }
std::string_view to_string(ModulatorSource value) { return name_of(value); }
std::string_view to_string(Precision value) { return name_of(value); }
std::string_view to_string(Execution value) { return name_of(value); }

template <class Enum>
std::span<const std::string_view> names() {
  return Names<Enum>::list;
}

template <class Enum>
Enum parse(std::string_view name, std::string_view argument) {
  const auto& list = Names<Enum>::list;
  for (std::size_t index = 0; index < list.size(); ++index) {
    if (list[index] == name) return static_cast<Enum>(index);
  }
  std::string legal = "one of";
  for (const std::string_view each : list) legal += str_cat(' ', each);
  bad_argument(std::string(argument), legal, str_cat('\'', name, '\''));
}

#define PLASTICITY_INSTANTIATE(Enum)                                       \
  template PLASTICITY_API std::span<const std::string_view> names<Enum>(); \
  template PLASTICITY_API Enum parse<Enum>(std::string_view, std::string_view);
PLASTICITY_INSTANTIATE(Cell)
PLASTICITY_INSTANTIATE(Rule)
PLASTICITY_INSTANTIATE(Rate)
PLASTICITY_INSTANTIATE(Eligibility)
PLASTICITY_INSTANTIATE(Granularity)
PLASTICITY_INSTANTIATE(Activation)
PLASTICITY_INSTANTIATE(ModulatorSource)
PLASTICITY_INSTANTIATE(Precision)
PLASTICITY_INSTANTIATE(Execution)
#undef PLASTICITY_INSTANTIATE

void Spec::validate() const {
  check_enumerator(cell, "cell");
  check_enumerator(rule, "rule");
  check_enumerator(rate, "rate");
  check_enumerator(eligibility, "eligibility");
  check_enumerator(alpha, "alpha");
  check_enumerator(activation, "activation");
  check_enumerator(modulator_source, "modulator_source");

  if (neurons < 1) bad_spec("neurons", "at least 1", str_cat(neurons));
  if (inputs < 0) bad_spec("inputs", "at least 0", str_cat(inputs));
  if (cell != Cell::rnn && inputs < 1) {
    bad_spec("inputs", str_cat("at least 1 for cell ", to_string(cell)), str_cat(inputs));
  }
  if (has_clip(rule) && !(clip > 0 && std::isfinite(clip))) {
    bad_spec("clip", str_cat("a finite value above 0 for rule ", to_string(rule)), exact_text(clip));
  }
  if (!is_plastic() && has_eligibility())
    bad_spec("eligibility", "none with alpha none (no trace)", std::string(to_string(eligibility)));
  if (!is_plastic() && rate != Rate::fixed)
    bad_spec("rate", "fixed with alpha none (no trace)", std::string(to_string(rate)));
  if (has_eligibility() && rate == Rate::fixed) {
    bad_spec("rate",
             str_cat("modulated, fan_out or external with eligibility ", to_string(eligibility),
                     " (eta is the eligibility trace's own constant)"),
             "fixed");
  }
  if (cell == Cell::lstm && activation != Activation::tanh) {
    bad_spec("activation", "tanh for cell lstm (its candidate gate)", std::string(to_string(activation)));
  }
  if (cell != Cell::lstm && modulator_source == ModulatorSource::cell) {
    bad_spec("modulator_source",
             str_cat("hidden for cell ", to_string(cell), " (only an lstm has a cell state)"), "cell");
  }
}

std::string to_string(const Spec& spec) {
  std::string line = str_cat(to_string(spec.cell), ' ', to_string(spec.rule), ' ', to_string(spec.rate));
  if (spec.has_eligibility()) line += str_cat(" eligibility=", to_string(spec.eligibility));
  line += str_cat(" alpha=", to_string(spec.alpha), ' ', to_string(spec.activation));
  if (spec.modulator_source == ModulatorSource::cell) line += " modulator_source=cell";
  if (has_clip(spec.rule)) line += str_cat(" clip=", exact_text(spec.clip));
  return line + str_cat(" I=", spec.inputs, " N=", spec.neurons);
}

}  // namespace plasticity
