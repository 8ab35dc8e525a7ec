#pragma once

#include <vector>

#include "base/random.hpp"
#include "plasticity/network.hpp"
#include "tool/cli/images/pictures.hpp"

namespace plasticity::images {

/// The task of [2018], section on images: a few pictures are shown in turn, clamped onto the neurons, with
/// pauses; then half of one of them, and the other half must come back.
struct Schedule {
  std::int64_t pictures = 3;  // to remember
  std::int64_t cycles = 2;    // times that each is shown
  std::int64_t on = 4;        // steps that a picture is shown
  std::int64_t off = 2;       // steps of pause after it
  std::int64_t test = 3;      // steps with the half picture
  std::int64_t steps() const { return pictures * cycles * (on + off) + test; }
};

/// A batch of episodes. One neuron a pixel, and a last one that is always 1 (a bias).
struct Episode {
  std::int64_t steps, batch, neurons;
  std::vector<std::uint8_t> clamp;   // [T,B,N]
  std::vector<float> clamp_value;    // [T,B,N]
  std::vector<float> target;         // [T,B,N]
  std::vector<std::uint8_t> asked;   // [T,B,N] 1: the free half, at the last step
  std::vector<float> shown;          // [B,pictures,pixels]
  std::vector<std::int64_t> wanted;  // [B] which of the shown pictures is asked for
  std::vector<std::uint8_t> top;     // [B] 1: the top half is the cue

  Sequence sequence() const { return {.steps = steps, .clamp = clamp, .clamp_value = clamp_value}; }
};

/// Draws the pictures, their order and the half that is asked for.
Episode make_episode(const Pictures& pictures, const Schedule& schedule, std::int64_t batch, Random& random);

/// Sum of squared errors on the asked entries over the sum of squared targets there: 1 is the error of
/// answering zero.
double normalised_error(const Episode& episode, std::span<const float> y);

}  // namespace plasticity::images
