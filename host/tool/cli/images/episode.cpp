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
    float* shown = own ? episode.shown.data() + b * plan.pictures * pixels : nullptr;
    std::vector<std::int64_t> chosen;
    while (static_cast<std::int64_t>(chosen.size()) < plan.pictures) {
      const std::int64_t index = random.below(pictures.count());
      if (std::find(chosen.begin(), chosen.end(), index) != chosen.end()) continue;
      if (own)
        pictures.load(index, {shown + static_cast<std::int64_t>(chosen.size()) * pixels,
                              static_cast<std::size_t>(pixels)});
      chosen.push_back(index);
    }
    const auto row = [&](std::int64_t t) { return static_cast<std::size_t>((t * B + b) * N); };
    for (std::int64_t t = 0; own && t < T; ++t) {
      episode.clamp[row(t) + static_cast<std::size_t>(pixels)] = 1;  // the bias
      episode.clamp_value[row(t) + static_cast<std::size_t>(pixels)] = 1;
    }
    std::int64_t t = 0;
    for (std::int64_t cycle = 0; cycle < plan.cycles; ++cycle) {
      std::vector<std::int64_t> order(static_cast<std::size_t>(plan.pictures));
      for (std::size_t k = 0; k < order.size(); ++k) {
        order[k] = static_cast<std::int64_t>(k);
        std::swap(order[k], order[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(k) + 1))]);
      }
      for (const std::int64_t picture : order) {
        for (std::int64_t step = 0; step < plan.on; ++step, ++t) {
          if (!own) continue;
          std::copy_n(shown + picture * pixels, pixels, episode.clamp_value.data() + row(t));
          std::fill_n(episode.clamp.data() + row(t), pixels, std::uint8_t{1});
        }
        t += plan.off;
      }
    }
    const std::int64_t wanted = random.below(plan.pictures);
    const bool top = random.below(2) == 0;
    if (!own) continue;
    episode.wanted.push_back(wanted);
    episode.top.push_back(top);
    for (; t < T; ++t) {
      for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
        const std::size_t at = row(t) + static_cast<std::size_t>(pixel);
        const bool cue = (pixel < pixels / 2) == top;
        const float value = shown[wanted * pixels + pixel];
        episode.clamp[at] = cue;
        episode.clamp_value[at] = cue ? value : 0;
        episode.target[at] = value;
        episode.asked[at] = !cue && t == T - 1;
      }
    }
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
  return error / target_power(episode);
}

}  // namespace plasticity::images
