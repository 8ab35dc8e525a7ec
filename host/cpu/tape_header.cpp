#include "cpu/tape_header.hpp"

#include "base/throw_error.hpp"

namespace plasticity::cpu {
namespace {

std::string describe(const TapeHeader& header) {
  const Spec spec{.cell = static_cast<Cell>(header.cell),
                  .rule = static_cast<Rule>(header.rule),
                  .rate = static_cast<Rate>(header.rate),
                  .eligibility = static_cast<Eligibility>(header.eligibility),
                  .alpha = static_cast<Granularity>(header.alpha),
                  .activation = static_cast<Activation>(header.activation),
                  .modulator_source = static_cast<ModulatorSource>(header.modulator_source),
                  .inputs = header.inputs,
                  .neurons = header.neurons,
                  .clip = header.clip};
  return str_cat(to_string(spec), " T=", header.steps, " B=", header.batch, " K=", header.interval, ' ',
                 to_string(static_cast<Precision>(header.precision)));
}

}  // namespace

TapeHeader::TapeHeader(const Spec& spec, const PlanOptions& options, std::int64_t checkpoint_interval,
                       GivenMasks given)
    : state(written),
      masks(given),
      steps(options.steps),
      batch(options.batch),
      interval(checkpoint_interval),
      inputs(spec.inputs),
      neurons(spec.neurons),
      clip(spec.clip),
      cell(static_cast<std::uint8_t>(spec.cell)),
      rule(static_cast<std::uint8_t>(spec.rule)),
      rate(static_cast<std::uint8_t>(spec.rate)),
      eligibility(static_cast<std::uint8_t>(spec.eligibility)),
      alpha(static_cast<std::uint8_t>(spec.alpha)),
      activation(static_cast<std::uint8_t>(spec.activation)),
      modulator_source(static_cast<std::uint8_t>(spec.modulator_source)),
      precision(static_cast<std::uint8_t>(options.precision)) {}

void check_tape(const void* tape, const TapeHeader& expected) {
  const auto& found = *static_cast<const TapeHeader*>(tape);
  if (found.state != TapeHeader::written) {
    bad_argument("tape", "a tape that forward() has written", "memory without a recorded pass");
  }
  TapeHeader same_masks = expected;
  same_masks.masks = found.masks;
  if (found != same_masks) {
    bad_argument("tape", "a tape of " + describe(expected), "one of " + describe(found));
  }
  const auto compare = [](const char* name, bool recorded, bool given) {
    if (recorded != given)
      bad_argument(name, recorded ? "a mask, as forward() had" : "null, as in forward()",
                   given ? "a mask" : "null");
  };
  compare("masks.reset", found.masks.reset, expected.masks.reset);
  compare("masks.length", found.masks.length, expected.masks.length);
  compare("masks.clamp", found.masks.clamp, expected.masks.clamp);
}

}  // namespace plasticity::cpu
