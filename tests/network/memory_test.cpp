// The memory of recorded windows of one step, compared with one recorded sequence. The program counts all
// memory that it allocates.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "plasticity/plasticity.hpp"
#include "support/replaced_new.hpp"

namespace plasticity::testing {
namespace {

std::atomic<std::size_t> live{0}, peak{0};

}  // namespace

void* allocate(std::size_t bytes, std::size_t alignment) {
  // The size is stored before the data, in as many bytes as keep them aligned.
  void* block = aligned_memory(alignment + bytes, alignment);
  if (block == nullptr) return nullptr;
  char* data = static_cast<char*>(block) + alignment;
  reinterpret_cast<std::size_t*>(data)[-1] = bytes;
  const std::size_t now = live += bytes;
  for (std::size_t seen = peak; seen < now && !peak.compare_exchange_weak(seen, now);) {
  }
  return data;
}

void release(void* data, std::size_t alignment) noexcept {
  if (data == nullptr) return;
  live -= static_cast<std::size_t*>(data)[-1];
  std::free(static_cast<char*>(data) - alignment);
}

namespace {

struct Sizes {
  std::int64_t steps, batch, neurons;
  Precision precision = Precision::f32;
};

/// Returns the peak of the memory that a network needs to record T steps and to run backward.
std::size_t peak_bytes(const Sizes& sizes, bool in_windows) {
  const std::size_t before = live;
  const auto row = static_cast<std::size_t>(sizes.batch * sizes.neurons);
  const std::vector<float> u(static_cast<std::size_t>(sizes.steps) * row, .1f);
  peak = live.load();
  Network network({.neurons = sizes.neurons},
                  {.batch = sizes.batch, .device = Device::cpu(1), .precision = sizes.precision});
  if (!in_windows) {
    network.forward({.steps = sizes.steps, .u = u});
    network.backward(u);
  } else {
    const std::span<const float> step = std::span(u).first(row);
    for (std::int64_t t = 0; t < sizes.steps; ++t) network.forward({.u = step});
    for (std::int64_t t = 0; t < sizes.steps; ++t) network.backward(step);
  }
  return peak - before - u.size() * sizeof(float);
}

TEST(Memory, WindowsOfOneStepNeedAtMostTwiceThatOfTheWholeSequence) {
  for (const Sizes& sizes :
       {Sizes{20, 1, 100}, Sizes{60, 1, 100}, Sizes{100, 1, 100}, Sizes{100, 8, 64}, Sizes{200, 30, 40},
        Sizes{205, 4, 100}, Sizes{399, 8, 64}, Sizes{1000, 2, 64}, Sizes{200, 8, 64, Precision::bf16}}) {
    const std::size_t whole = peak_bytes(sizes, false), windows = peak_bytes(sizes, true);
    EXPECT_LE(static_cast<double>(windows), 2 * static_cast<double>(whole))
        << "T " << sizes.steps << " B " << sizes.batch << " N " << sizes.neurons << ": " << windows << " and "
        << whole << " bytes";
  }
}

}  // namespace
}  // namespace plasticity::testing
