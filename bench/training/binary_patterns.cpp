// The binary patterns of 2018 (arXiv 1804.02464, 4.1). A recurrent plastic network of N neurons and a bias
// sees five random patterns of N bits, twice, for six steps each with four silent steps after each. Then it
// sees half of one pattern for six steps and must complete it. One episode per iteration, squared error of
// the last step, Adam. The measured time excludes making the episodes. bench/peers/binary_patterns.py is the
// same loop in PyTorch. Both take random numbers from the same hash, so they have the same episodes and
// initial parameters.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <plasticity/plasticity.hpp>

namespace {

using namespace plasticity;
using Clock = std::chrono::steady_clock;

constexpr std::size_t patterns = 5, presentations = 2, on = 6, off = 4, test = 6;
constexpr std::size_t T = patterns * presentations * (on + off) + test;  // 106
constexpr float gain = 20;
constexpr std::uint64_t streams = 4;                 // per episode: bits, order, zeroed, asked
constexpr std::uint64_t parameters_at = 1ull << 40;  // the first stream after those of the episodes

std::uint64_t mixed(std::uint64_t x) {  // splitmix64
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}
std::uint64_t number(std::uint64_t stream, std::uint64_t k) { return mixed(mixed(stream) + k); }
double uniform(std::uint64_t stream, std::uint64_t k) {
  return static_cast<double>(number(stream, k) >> 11) * 0x1p-53;
}

struct Episode {
  std::vector<float> u;       // [T,N+1] input current
  std::vector<float> target;  // [N]
};

/// 0..count-1 sorted by key.
std::vector<std::size_t> shuffled(std::size_t count, std::uint64_t stream, std::uint64_t from) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return number(stream, from + a) < number(stream, from + b);
  });
  return order;
}

Episode make_episode(std::uint64_t index, std::size_t N) {
  const std::uint64_t stream = streams * index;
  std::vector<float> bits(patterns * N);
  for (std::size_t k = 0; k < bits.size(); ++k) bits[k] = number(stream, k) >> 63 == 0 ? -1.0f : 1.0f;
  Episode episode{std::vector<float>(T * (N + 1)), std::vector<float>(N)};
  const auto show = [&](std::size_t t, const float* pattern) {
    for (std::size_t j = 0; j < N; ++j) episode.u[t * (N + 1) + j] = gain * pattern[j];
  };
  std::size_t t = 0;
  for (std::size_t again = 0; again < presentations; ++again) {
    for (const std::size_t which : shuffled(patterns, stream + 1, again * patterns)) {
      for (std::size_t k = 0; k < on; ++k) show(t++, &bits[which * N]);
      t += off;
    }
  }
  const float* const asked = &bits[number(stream + 3, 0) % patterns * N];
  std::copy_n(asked, N, episode.target.begin());
  std::vector<float> cue(asked, asked + N);
  const std::vector<std::size_t> order = shuffled(N, stream + 2, 0);
  for (std::size_t k = 0; k < N / 2; ++k) cue[order[k]] = 0;
  for (std::size_t k = 0; k < test; ++k) show(t++, cue.data());
  for (std::size_t step = 0; step < T; ++step) episode.u[step * (N + 1) + N] = gain;  // the bias
  return episode;
}

class Training {
 public:
  Training(std::size_t N, Device device)
      : N_(N),
        network_({.cell = Cell::rnn, .rule = Rule::decay, .neurons = static_cast<std::int64_t>(N + 1)},
                 {.device = device}),
        trainer_(network_, {.adam = {.learning_rate = 3e-4}, .reduction = Reduction::sum}),
        target_(T * (N + 1)),
        asked_(T * (N + 1)) {
    std::fill_n(asked_.begin() + static_cast<std::ptrdiff_t>((T - 1) * (N + 1)), N, std::uint8_t{1});
    std::uint64_t stream = parameters_at;
    for (const char* name : {"w", "alpha"}) {
      const std::span<float> values = network_.parameter(name);
      for (std::size_t k = 0; k < values.size(); ++k) {
        const double radius = std::sqrt(-2 * std::log(1 - uniform(stream, 2 * k)));
        values[k] =
            static_cast<float>(.01 * radius * std::cos(2 * std::numbers::pi * uniform(stream, 2 * k + 1)));
      }
      ++stream;
    }
    network_.parameter("eta")[0] = .01f;
  }

  void episode() {
    const Episode episode = make_episode(episodes_++, N_);
    const Clock::time_point start = Clock::now();
    network_.reset();
    std::copy(episode.target.begin(), episode.target.end(),
              target_.begin() + static_cast<std::ptrdiff_t>((T - 1) * (N_ + 1)));
    const double loss = trainer_.step({.steps = T, .u = episode.u}, target_, asked_);
    const std::span<const float> y = trainer_.y().subspan((T - 1) * (N_ + 1), N_);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < N_; ++j) wrong += (y[j] > 0) != (episode.target[j] > 0);
    seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    losses_.push_back(loss);
    errors_.push_back(static_cast<double>(wrong) / static_cast<double>(N_));
  }

  /// Losses and sign errors since the last report, and the total time, as JSON.
  nlohmann::ordered_json report(const Device& device) {
    nlohmann::ordered_json result{{"episodes", episodes_},
                                  {"seconds", seconds_},
                                  {"losses", losses_},
                                  {"sign_errors", errors_},
                                  {"device", device.name()}};
    losses_.clear();
    errors_.clear();
    return result;
  }

 private:
  std::size_t N_;
  Network network_;
  Trainer trainer_;
  std::vector<float> target_;        // [T,N+1]
  std::vector<std::uint8_t> asked_;  // [T,N+1]: the bits of the last step
  std::uint64_t episodes_ = 0;
  double seconds_ = 0;
  std::vector<double> losses_, errors_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains the binary patterns of 2018; JSON on stdout");
  std::size_t neurons = 1000, episodes = 10;
  int threads = 0;
  bool paced = false, cuda = false;
  app.add_option("--neurons", neurons, "N, bits of a pattern")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  app.add_option("--episodes", episodes, "How many; with --paced for every line")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--threads", threads, "CPU threads; 0: PLASTICITY_THREADS, or all")
      ->check(CLI::Range(0, 1024));
  app.add_flag("--cuda", cuda, "On the GPU");
  app.add_flag("--paced", paced, "Trains on for every line on stdin, a line of JSON each: to take turns");
  CLI11_PARSE(app, argc, argv);
  try {
    const Device device = cuda ? Device::cuda() : Device::cpu(threads);
    Training training(neurons, device);
    std::string line;
    while (!paced || std::getline(std::cin, line)) {
      for (std::size_t k = 0; k < episodes; ++k) training.episode();
      std::printf("%s\n", training.report(device).dump().c_str());
      std::fflush(stdout);
      if (!paced) break;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "binary_patterns: %s\n", error.what());
    return 1;
  }
  return 0;
}
