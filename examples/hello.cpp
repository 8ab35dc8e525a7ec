// Learning to learn: the network sees three random patterns that it never saw before, three steps each, then
// half of one of them, and completes it. What it saw is in its Hebbian traces alone; training made it good at
// storing and recalling.
#include <cstdio>
#include <plasticity/plasticity.hpp>
#include <random>

int main() {
  using namespace plasticity;
  constexpr std::size_t T = 11, B = 16, N = 80;  // steps, episodes at a time, neurons
  Network network({.cell = Cell::rnn, .rule = Rule::decay, .neurons = N}, {.batch = B});
  Adam adam({.learning_rate = 5e-3});
  std::mt19937 random(1);
  std::vector<std::uint8_t> clamp(T * B * N), asked(T * B * N);
  std::vector<float> pattern(T * B * N), gradient(T * B * N);

  for (int episode = 0; episode <= 1500; ++episode) {
    for (std::size_t k = 0; k < T * B * N; ++k) {  // k counts through [T,B,N]
      const std::size_t t = k / (B * N), b = k / N % B, shown = t < 9 ? t / 3 : b % 3;
      const bool fresh = t < 9 && t % 3 == 0;
      pattern[k] = fresh ? (random() % 2 == 0 ? 1.0f : -1.0f) : pattern[3 * shown * B * N + k % (B * N)];
      clamp[k] = t < 9 || k % 2 == 0;       // in the last two steps every other neuron is free
      asked[k] = t == T - 1 && k % 2 != 0;  // and must have found its value
    }
    network.reset();
    const auto y = network.forward({.steps = T, .clamp = clamp, .clamp_value = pattern});
    const double error = mse_loss(y, pattern, gradient, asked);
    if (episode % 500 == 0) std::printf("episode %4d: squared error %.3f (1 = no idea)\n", episode, error);
    network.zero_gradients();
    network.backward(gradient);
    adam.step(network.parameters());
  }
}
