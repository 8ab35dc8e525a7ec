// A small training that may be killed at any time: interrupted_training CHECKPOINT ITERATIONS. It continues
// from the checkpoint, if there is one, and writes a checkpoint after every iteration. The checkpoint holds
// the parameters, Adam's moments, the state of the random number generator and the iteration.
#include <cstdlib>
#include <filesystem>
#include <random>
#include <sstream>

#include "plasticity/plasticity.hpp"

int main(int count, char** arguments) {
  using namespace plasticity;
  if (count != 3) return 2;
  const std::filesystem::path checkpoint = arguments[1];
  const long iterations = std::atol(arguments[2]);
  constexpr std::size_t T = 4, B = 2, N = 12;

  Network network({.neurons = N}, {.batch = B, .device = Device::cpu(1), .seed = 1});
  Adam adam({.learning_rate = 1e-2});
  std::mt19937 random(1);
  long iteration = 0;
  if (std::filesystem::exists(checkpoint)) {
    const io::TensorFile file = io::load(checkpoint);
    network.load(file);
    adam.load(file);
    std::istringstream(file.metadata.at("random")) >> random;
    iteration = std::stol(file.metadata.at("iteration"));
  }
  for (; iteration < iterations; ++iteration) {
    std::vector<float> u(T * B * N), target(T * B * N), gradient(T * B * N);
    for (float& value : u) value = static_cast<float>(random() % 1000) / 500 - 1;
    for (std::size_t k = 0; k < target.size(); ++k) target[k] = u[k % (B * N)];
    network.reset();
    const auto y = network.forward({.steps = T, .u = u});
    mse_loss(y, target, gradient);
    network.zero_gradients();
    network.backward(gradient);
    adam.step(network.parameters());

    io::TensorFile file;
    network.save(file);
    adam.save(file);
    std::ostringstream state;
    state << random;
    file.metadata["random"] = state.str();
    file.metadata["iteration"] = std::to_string(iteration + 1);
    io::save(checkpoint, file);
  }
}
