#pragma once

#include <array>
#include <cstddef>

#include "rules/form.hpp"

// Instructions per connection of the passes over the trace, counted in the machine code for sm_90 by
// `./run sass`. A test compares them with bench/gpu/sass_golden.json. After a change of a kernel,
// `./run sass --renew` writes that file, and the test's failure lists the new numbers.
namespace plasticity::cuda {

struct InstructionCounts {
  double step_forward[2][2];    ///< [lstm][bf16]; bf16: a step that records a rounded trace
  double step_backward[2][2];   ///< [lstm][bf16]; bf16: from a rounded tape of every step
  double replay[2];             ///< [bf16] the gradient of alpha per connection
  double segment;               ///< the traces between two checkpoints
  double resident_forward[2];   ///< [one column per thread, else four]
  double resident_backward[2];  ///< as resident_forward
};

/// [form][has an eligibility trace]. The resident kernels of Form::read_clipped run Form::linear too.
// clang-format off
constexpr std::array<std::array<InstructionCounts, 2>, 4> instruction_counts = {{
    {{{{{11.8, 19}, {19.7, 26.9}}, {{25.4, 24.8}, {38.2, 37.7}}, {13.1, 13.1}, 10, {7, 7.4}, {24.5, 32.4}},  // linear
      {{{23.8, 29.7}, {39.6, 45.4}}, {{40, 39.5}, {65.6, 65.4}}, {19, 18.9}, 17.2, {12.1, 10.4}, {29, 39.9}}}},
    {{{{{13.2, 26.9}, {21.1, 34.7}}, {{29.5, 33.8}, {42.3, 46.7}}, {14.8, 14.8}, 9.6, {7, 7.4}, {24.5, 32.4}},  // read_clipped
      {{{25.5, 33.9}, {41.2, 49.7}}, {{43.9, 46}, {69.5, 71.9}}, {18.1, 18.5}, 15, {12.1, 10.4}, {29, 39.9}}}},
    {{{{{12.2, 26.6}, {20.1, 34.5}}, {{25.3, 34.8}, {38.1, 47.6}}, {13.4, 13.8}, 10, {6, 6.4}, {21, 29.4}},  // clipped
      {{{23.4, 35.3}, {39.2, 51.1}}, {{40.8, 46.2}, {66.4, 72.1}}, {17.1, 16.8}, 15.8, {10.6, 9.4}, {26.5, 37.2}}}},
    {{{{{14.4, 22.7}, {22.3, 30.6}}, {{32.7, 34.8}, {45.5, 47.6}}, {15.4, 15.8}, 12, {8, 8.4}, {27.6, 36.5}},  // soft
      {{{26.2, 32.8}, {42, 48.5}}, {{51, 50}, {76.6, 75.9}}, {18.8, 18.8}, 17.2, {12.7, 11.4}, {33.1, 50.5}}}},
}};
// clang-format on

constexpr const InstructionCounts& instructions_of(Form form, bool eligible) {
  return instruction_counts[static_cast<std::size_t>(form)][eligible ? 1 : 0];
}

}  // namespace plasticity::cuda
