#pragma once

#include <vector>

#include "base/random.hpp"
#include "plasticity/communicator.hpp"
#include "plasticity/network.hpp"
#include "tool/cli/images/pictures.hpp"

namespace plasticity::images {

/// The task of [2018], section on images. The network sees a few pictures in turn, clamped onto its neurons,
/// with pauses between them. Then it sees half of one picture and must complete the other half.
struct EpisodePlan {
  std::int64_t pictures = 3;  // per episode
  std::int64_t cycles = 2;    // repetitions of each picture
  std::int64_t on = 4;        // steps per picture
  std::int64_t off = 2;       // steps of pause after a picture
  std::int64_t test = 4;      // steps with the half picture
  std::int64_t steps() const { return pictures * cycles * (on + off) + test; }
};

/// A batch of episodes. One neuron per pixel, and a last neuron that is always 1 (a bias).
struct Episode {
  std::int64_t steps, batch, neurons;
  std::vector<std::uint8_t> clamp;   // [T,B,N]
  std::vector<float> clamp_value;    // [T,B,N]
  std::vector<float> target;         // [T,B,N]
  std::vector<std::uint8_t> asked;   // [T,B,N] 1: the half to complete, at the last step
  std::vector<float> shown;          // [B,pictures,pixels]
  std::vector<std::int64_t> wanted;  // [B] index of the picture to complete
  std::vector<std::uint8_t> top;     // [B] 1: the cue is the top half

  Sequence sequence() const { return {.steps = steps, .clamp = clamp, .clamp_value = clamp_value}; }
};

/// Draws random pictures, their order, the picture to complete and the half that is the cue, for `batch`
/// samples. Returns the samples of `slice`, which are the same in every slice.
Episode make_episode(const Pictures& pictures, const EpisodePlan& plan, std::int64_t batch, Random& random,
                     BatchSlice slice);

/// Sum of squared errors on the asked entries, divided by the sum of squared targets. An output of zero has
/// an error of 1.
double normalised_error(const Episode& episode, std::span<const float> y);

}  // namespace plasticity::images
