#pragma once

#include <cstdint>

#include "plasticity/spec.hpp"

// What the step kernels are told: plain values and device pointers. Sizes as everywhere: T steps, B batch, N
// neurons, P presynaptic neurons. A pointer that a network does not use is null.
namespace plasticity::cuda {

/// A tensor kept for several steps, [slots, B, ...]. Slot t holds what stood before step t, so step t writes
/// slot t + 1. Without a tape only the last three steps are kept, in a ring.
template <class T>
struct Rows {
  T* base = nullptr;
  std::int64_t stride = 0;  // elements from slot to slot
};

/// The network and what is given with every call.
struct Problem {
  std::int64_t T, B, N, P;
  int tiles;  // column tiles of a batch element: ceil(N / tile_columns)
  Cell cell;
  bool lstm;  // cell == Cell::lstm
  Rate rate;
  Eligibility eligibility;
  Activation activation;
  ModulatorSource modulator_source;
  float clip;

  const float* w;        // [P,N]
  const float* w_gates;  // [N,3N]
  const float* alpha;    // element i, j at i * alpha_row + j * alpha_column
  std::int64_t alpha_row, alpha_column;
  const float* eta;               // [1]
  const float* modulator_weight;  // [N]
  const float* modulator_bias;    // [1]
  const float* fan_out_weight;    // [N]
  const float* fan_out_bias;      // [N]

  const float* pre;            // [T,B,P] feedforward
  const float* external_rate;  // [T,B,N]
  const std::uint8_t* reset;   // [T,B]
  const std::int64_t* length;  // [B]; values beyond 0..T count as the nearer end
  const std::uint8_t* clamp;   // [T,B,N]
  const float* clamp_value;    // [T,B,N]
};

/// What the steps leave behind: for the next step, and, on a tape, for backward.
struct Record {
  bool ring;                  // slots of vectors are taken modulo 3
  Rows<float> shown;          // [B,N] y, in an lstm h
  Rows<float> post;           // [B,N] postsynaptic activity (the same memory as `shown` except in an lstm)
  Rows<float> activated;      // [B,N] softmax, on a tape: before the clamp
  Rows<float> raw;            // [B,N] softmax: what goes into it
  Rows<float> c;              // [B,N] lstm
  Rows<float> gates;          // [B,3N] lstm, on a tape: i f o after the sigmoid
  Rows<float> modulation;     // [B] on a tape: M
  std::int64_t interval = 1;  // K: the tape has the traces before every K-th step
  std::int64_t first = 0;     // the step of slot 0 of the traces, where a segment of them is at hand
  Rows<float> hebb;           // [B,P,N] slot s the trace before step s K, or one slot (stride 0) in place
  Rows<float> eligibility;    // likewise
  float *between, *eligibility_between;  // [B,P,N] where the traces are between checkpoints. Null: in place
  void* hebb16;         // [slots,B,P,N] a tape in bfloat16: the traces of the checkpoints, rounded. Else null
  void* eligibility16;  // likewise
};

/// What a network that is stepped call by call remembers of its last step (Plan::step). All slots are of a
/// ring.
struct StepStateRecord {
  // [B,tiles] slot of the state, plus `pending` if an update waits; each block has its own.
  int* phase = nullptr;
  Rows<float> x;     // [B,P] presynaptic activity of the update that waits
  Rows<float> rate;  // [B,N] its rate
  Rows<float> eta;   // [B] its eta
  static constexpr int pending = 4;
};

struct ForwardStep {
  Problem problem;
  Record record;
  StepStateRecord live;
  std::int64_t t;        // of the step at hand; 0 in a live step
  const float* current;  // [B, gates N] input current of this step; null is zero
  float* y;              // [T,B,N] out
  float* modulation;     // [T,B] out, or null
};

/// The end of a forward pass: the last update of the traces, and the final state.
struct Flush {
  Problem problem;
  Record record;
  StepStateRecord live;
  float* y;           // [T,B,N] out: of the last step, under softmax
  float* modulation;  // [T,B] out, or null
  float* final_y;     // [B,N] or null, as all below
  float* final_c;
  float* final_hebb;  // [B,P,N]
  float* final_eligibility;
};

/// The beginning: puts a state of floats (null: zero) into slot 0.
struct Load {
  std::int64_t B, N, P;
  int tiles;
  const float *y, *c, *hebb, *eligibility;
  float *shown, *cell;      // [B,N]
  float *trace, *eligible;  // [B,P,N]
  int* phase;               // [B,tiles] or null
};

struct BackwardStep {
  Problem problem;
  Record record;
  std::int64_t t;                                                         // T..0
  const float* dy;                                                        // [T,B,N] upstream, or null
  const float *dfinal_y, *dfinal_c, *dfinal_hebb, *dfinal_eligibility;    // upstream, or null
  float *dinitial_y, *dinitial_c, *dinitial_hebb, *dinitial_eligibility;  // out, or null
  float* dpre;                                                            // [T,B,P] out, or null
  float* drate;                                                           // [T,B,N] out, or null

  float* da;          // [T,B,gates N] gradient of the currents
  float *G, *GE;      // [B,P,N] gradients of the traces
  Rows<float> rows;   // [3][B,tiles,P] what each tile adds to the gradient of x; slot t % 3
  Rows<float> rates;  // [2][B,N] gradient of g; slot t % 2
  Rows<float> dpost;  // [2][B,N] gradient of post from the trace of its own step; slot t % 2
  float* dc;          // [B,N] lstm: gradient of c carried back

  // Sums over the steps, each column added to by one thread; zero at the start.
  float* sum_alpha;     // [B,N] sum over i of x ā φ(H)
  float* sum_eta;       // [B,N]
  float* sum_v;         // [B,N]
  float* sum_v0;        // [B]
  float* sum_fan;       // [B,N]
  float* sum_fan_bias;  // [B,N]
};

}  // namespace plasticity::cuda
