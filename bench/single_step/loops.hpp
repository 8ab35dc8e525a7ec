#pragma once

#include <cstdint>

// One step of a plastic RNN as a user would write it without the library.
namespace plasticity::bench {

/// The state of a network of N neurons at B = 1, with rule decay, a fixed rate and alpha per connection.
struct LoopsNetwork {
  std::int64_t N;
  const float* w;      // [N,N]
  const float* alpha;  // [N,N]
  float eta;
  float* hebb;     // [N,N]
  float* y;        // [N]
  float* current;  // [N]
};

/// Runs one step with the input current `u` [N].
void run_loops(const LoopsNetwork& network, const float* u);

/// Reads w and alpha and updates hebb, once each, and returns a sum. No step can take less. The next pass in
/// the other direction finds the end of this one in the cache.
float run_pass(const LoopsNetwork& network, bool reverse);

}  // namespace plasticity::bench
