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
    {{{{{7.9, 17.5}, {31.7, 41.2}}, {{22.1, 27.8}, {35.1, 40.7}}, {13.1, 13.1}, 10, {7, 7.4}, {23.1, 32.6}},  // linear
      {{{14.4, 24.5}, {45.9, 46.1}}, {{36, 43.8}, {62.1, 69.4}}, {19, 18.9}, 17.2, {11.9, 10.5}, {28.7, 39.6}}}},
    {{{{{10.5, 24.8}, {35.5, 49.8}}, {{24.5, 35.8}, {37.6, 48.7}}, {14.8, 14.8}, 9.6, {7, 7.4}, {23.1, 32.6}},  // read_clipped
      {{{15.9, 30.2}, {47.8, 54.1}}, {{39.2, 45.5}, {65.1, 71.6}}, {18.1, 18.5}, 15, {11.9, 10.5}, {28.7, 39.6}}}},
    {{{{{9.6, 22.5}, {33.2, 46.1}}, {{21, 36.2}, {34.1, 49.2}}, {13.4, 13.8}, 10, {6, 6.4}, {19.6, 29.4}},  // clipped
      {{{16.1, 31.8}, {50.2, 55.9}}, {{35.8, 47.5}, {61.6, 73.4}}, {17.1, 16.8}, 15.8, {10, 9.6}, {27.2, 37.1}}}},
    {{{{{11.6, 19}, {38.1, 45.4}}, {{28, 36.8}, {41.1, 49.7}}, {15.4, 15.8}, 12, {8, 8.4}, {27.5, 36.6}},  // soft
      {{{16.6, 25.2}, {49.2, 50.2}}, {{41.8, 47.5}, {67.6, 73.4}}, {18.8, 18.8}, 17.2, {12, 11.8}, {34.2, 50.4}}}},
}};
// clang-format on

constexpr const InstructionCounts& instructions_of(Form form, bool eligible) {
  return instruction_counts[static_cast<std::size_t>(form)][eligible ? 1 : 0];
}

}  // namespace plasticity::cuda
