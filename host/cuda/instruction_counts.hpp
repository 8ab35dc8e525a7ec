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
    {{{{{11.8, 19}, {19.7, 26.9}}, {{25.9, 28.8}, {38.7, 41.6}}, {13.1, 13.1}, 10, {7, 7.4}, {24.5, 32.4}},  // linear
      {{{23.8, 29.7}, {39.6, 45.4}}, {{43.5, 41.2}, {69.1, 67.1}}, {19, 18.9}, 17.2, {12.1, 10.4}, {29, 39.9}}}},
    {{{{{13.2, 26.9}, {21.1, 34.7}}, {{29.7, 32}, {42.5, 44.9}}, {14.8, 14.8}, 9.6, {7, 7.4}, {24.5, 32.4}},  // read_clipped
      {{{25.5, 33.9}, {41.2, 49.7}}, {{44.8, 47.2}, {70.4, 73.1}}, {18.1, 18.5}, 15, {12.1, 10.4}, {29, 39.9}}}},
    {{{{{12.2, 26.6}, {20.1, 34.5}}, {{26.3, 35.8}, {39.1, 48.6}}, {13.4, 13.8}, 10, {6, 6.4}, {21, 29.4}},  // clipped
      {{{23.4, 35.3}, {39.2, 51.1}}, {{40.7, 47.2}, {66.3, 73.1}}, {17.1, 16.8}, 15.8, {10.6, 9.4}, {26.5, 37.2}}}},
    {{{{{14.4, 22.7}, {22.3, 30.6}}, {{33.4, 35.2}, {46.2, 48.1}}, {15.4, 15.8}, 12, {8, 8.4}, {27.6, 36.5}},  // soft
      {{{26.2, 32.8}, {42, 48.5}}, {{51, 50}, {76.6, 75.9}}, {18.8, 18.8}, 17.2, {12.7, 11.4}, {33.1, 50.5}}}},
}};
// clang-format on

constexpr const InstructionCounts& instructions_of(Form form, bool eligible) {
  return instruction_counts[static_cast<std::size_t>(form)][eligible ? 1 : 0];
}

}  // namespace plasticity::cuda
