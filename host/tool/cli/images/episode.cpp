#include "tool/cli/images/episode.hpp"

#include <algorithm>

namespace plasticity::images {
namespace {

double target_power(const Episode& episode) {
  double power = 0;
  for (std::size_t k = 0; k < episode.target.size(); ++k) {
    if (episode.asked[k] != 0) power += static_cast<double>(episode.target[k]) * episode.target[k];
  }
  return power;
}

/// Returns the numbers of `count` different pictures.
std::vector<std::int64_t> choose_pictures(const Pictures& pictures, std::int64_t count, Random& random) {
  std::vector<std::int64_t> chosen;
  while (static_cast<std::int64_t>(chosen.size()) < count) {
    const std::int64_t index = random.below(pictures.count());
    if (std::find(chosen.begin(), chosen.end(), index) == chosen.end()) chosen.push_back(index);
  }
  return chosen;
}

/// Returns 0 .. count-1 in a random order.
std::vector<std::int64_t> random_order(std::int64_t count, Random& random) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  for (std::size_t k = 0; k < order.size(); ++k) {
    order[k] = static_cast<std::int64_t>(k);
    std::swap(order[k], order[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(k) + 1))]);
  }
  return order;
}

/// The offset of the neurons of step t and episode b.
std::size_t row_of(const Episode& episode, std::int64_t t, std::int64_t b) {
  return static_cast<std::size_t>((t * episode.batch + b) * episode.neurons);
}

/// From step t on: clamps the top or the bottom half of a picture, and asks for the other half at the end.
void add_question(Episode& episode, std::int64_t b, std::int64_t t, const float* picture, bool top) {
  const std::int64_t pixels = episode.neurons - 1;
  for (; t < episode.steps; ++t) {
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      const std::size_t at = row_of(episode, t, b) + static_cast<std::size_t>(pixel);
      const bool cue = (pixel < pixels / 2) == top;
      episode.clamp[at] = cue;
      episode.clamp_value[at] = cue ? picture[pixel] : 0;
      episode.target[at] = picture[pixel];
      episode.asked[at] = !cue && t == episode.steps - 1;
    }
  }
}

}  // namespace

Episode make_episode(const Pictures& pictures, const EpisodePlan& plan, std::int64_t batch, Random& random,
                     BatchSlice slice) {
  const std::int64_t T = plan.steps(), B = slice.count, pixels = pictures.pixels(), N = pixels + 1;
  const auto size = static_cast<std::size_t>(T * B * N);
  Episode episode{T, B, N, {}, {}, {}, {}, {}, {}, {}};
  episode.clamp.assign(size, 0);
  episode.clamp_value.assign(size, 0);
  episode.target.assign(size, 0);
  episode.asked.assign(size, 0);
  episode.shown.resize(static_cast<std::size_t>(B * plan.pictures * pixels));

  for (std::int64_t sample = 0; sample < batch; ++sample) {
    const std::int64_t b = sample - slice.first;
    const bool own = b >= 0 && b < B;  // for the samples of other slices it only draws the numbers
    float* const shown = own ? episode.shown.data() + b * plan.pictures * pixels : nullptr;
    const std::vector<std::int64_t> chosen = choose_pictures(pictures, plan.pictures, random);
    for (std::size_t k = 0; own && k < chosen.size(); ++k) {
      pictures.load(chosen[k],
                    {shown + static_cast<std::int64_t>(k) * pixels, static_cast<std::size_t>(pixels)});
    }
    for (std::int64_t t = 0; own && t < T; ++t) {
      const std::size_t bias = row_of(episode, t, b) + static_cast<std::size_t>(pixels);
      episode.clamp[bias] = 1;
      episode.clamp_value[bias] = 1;
    }
    std::int64_t t = 0;
    for (std::int64_t cycle = 0; cycle < plan.cycles; ++cycle) {
      for (const std::int64_t picture : random_order(plan.pictures, random)) {
        for (std::int64_t step = 0; step < plan.on; ++step, ++t) {
          if (!own) continue;
          const std::size_t row = row_of(episode, t, b);
          std::copy_n(shown + picture * pixels, pixels, episode.clamp_value.data() + row);
          std::fill_n(episode.clamp.data() + row, pixels, std::uint8_t{1});
        }
        t += plan.off;
      }
    }
    const std::int64_t wanted = random.below(plan.pictures);
    const bool top = random.below(2) == 0;
    if (!own) continue;
    episode.wanted.push_back(wanted);
    episode.top.push_back(top);
    add_question(episode, b, t, shown + wanted * pixels, top);
  }
  return episode;
}

double normalised_error(const Episode& episode, std::span<const float> y) {
  double error = 0;
  for (std::size_t k = 0; k < y.size(); ++k) {
    if (episode.asked[k] == 0) continue;
    const double difference = static_cast<double>(y[k]) - episode.target[k];
    error += difference * difference;
  }
  const double power = target_power(episode);
  return power > 0 ? error / power : 0;  // as for Reduction::relative
}

}  // namespace plasticity::images
