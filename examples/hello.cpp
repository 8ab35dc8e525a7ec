// Learning to learn. In every episode the network sees three new random patterns, then half of one of them,
// and must recall the other half. It sees no pattern twice, so only its Hebbian traces can store them.
// Training teaches it to write and to read its traces.
#include <cstdio>
#include <plasticity/plasticity.hpp>
#include <random>
#include <vector>

int main() {
  using namespace plasticity;
  constexpr std::size_t T = 11, B = 16, N = 80;  // steps, episodes per batch, neurons
  Network network({.cell = Cell::rnn, .rule = Rule::decay, .neurons = N}, {.batch = B});
  Adam adam({.learning_rate = 5e-3});
  std::mt19937 random(1);
  std::vector<float> pattern(T * B * N), gradient(T * B * N);     // [T,B,N]
  std::vector<std::uint8_t> clamp(T * B * N), scored(T * B * N);  // [T,B,N], 0 or 1

  for (int episode = 0; episode <= 1500; ++episode) {
    for (std::size_t k = 0; k < T * B * N; ++k) {
      const std::size_t t = k / (B * N), b = k / N % B, n = k % N;
      const bool showing = t < 9;                               // three patterns, three steps each
      const std::size_t first = 3 * (showing ? t / 3 : b % 3);  // the first step of the pattern shown or cued
      pattern[k] = t == first ? (random() % 2 == 0 ? 1.0f : -1.0f) : pattern[(first * B + b) * N + n];
      clamp[k] = showing || n % 2 == 0;      // the cue: two steps with the even neurons only
      scored[k] = t == T - 1 && n % 2 == 1;  // the odd neurons must recall at the last step
    }
    network.reset();  // the traces start at zero
    const auto y = network.forward({.steps = T, .clamp = clamp, .clamp_value = pattern});
    const double error = mse_loss(y, pattern, gradient, scored);
    if (episode % 500 == 0) std::printf("episode %4d: squared error %.3f (chance: 1)\n", episode, error);
    network.zero_gradients();
    network.backward(gradient);
    adam.step(network.parameters());
  }
}
