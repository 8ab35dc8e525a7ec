// The parameters of the step kernels: plain values and device pointers. T steps, B batch elements, N neurons,
// P presynaptic neurons. A pointer that a network does not use is null.
#pragma once

#include <cstdint>

#include "plasticity/spec.hpp"
#include "rules/arithmetic.hpp"

namespace plasticity::cuda {

/// A tensor stored once per step, [slots,B,...]. Slot t holds the value before step t: step t writes slot t
/// + 1. On a tape there are T + 1 slots. Without a tape there are three, used as a ring.
template <class T>
struct TimeSlots {
  T* base = nullptr;
  std::int64_t stride = 0;  // elements from one slot to the next

  PLASTICITY_HOST_DEVICE T* at(std::int64_t slot, std::int64_t offset) const {
    return base + slot * stride + offset;
  }
};

/// The network, its parameters, inputs and masks.
struct StepParams {
  std::int64_t T, B, N, P;
  int tiles;  // column tiles per batch element: ceil(N / tile_columns)
  Rule rule;
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
  const std::int64_t* length;  // [B]; kernels clamp a length to 0..T
  const std::uint8_t* clamp;   // [T,B,N]
  const float* clamp_value;    // [T,B,N]
};

/// The activity and traces that forward records for the next step and, on a tape, for backward.
struct Record {
  bool ring;                    // slots of vectors are taken modulo 3
  TimeSlots<float> output;      // [B,N] y; in an LSTM h
  TimeSlots<float> post;        // [B,N] postsynaptic activity (aliases `output` except in an LSTM)
  TimeSlots<float> unclamped;   // [B,N] softmax, on a tape: y before the clamp
  TimeSlots<float> logits;      // [B,N] softmax: its input
  TimeSlots<float> c;           // [B,N] LSTM
  TimeSlots<float> gates;       // [B,3N] LSTM, on a tape: i f o after the sigmoid
  TimeSlots<float> modulation;  // [B] on a tape: M
  std::int64_t interval = 1;    // K: a tape stores the traces before every K-th step
  std::int64_t first = 0;       // the step of trace slot 0: not 0 if a replayed segment is loaded
  // [B,P,N] Slot s holds the traces before step s K. Stride 0: one slot, updated in place.
  TimeSlots<float> hebb, eligibility;
  float *working_hebb, *working_eligibility;  // [B,P,N] the traces between checkpoints; null: in place
  void *hebb16, *eligibility16;  // [slots,B,P,N] a bfloat16 tape: the rounded checkpoints; else null
};

/// The state that Plan::step keeps between calls. Its slots are a ring.
struct StepStateRecord {
  /// [B,tiles] the slot of the state, plus `pending` if a trace update is due. Each block has its own phase.
  /// Null in a sequence.
  int* phase = nullptr;
  TimeSlots<float> x;     // [B,P] of the pending update: presynaptic activity,
  TimeSlots<float> rate;  // [B,N] rate,
  TimeSlots<float> eta;   // [B] and eta
  static constexpr int pending = 4;
};

/// The places of a step's vectors and traces, which its launch computes once for all blocks.
struct StepPlaces {
  std::int64_t before, now, next;            // slots of the vectors before step t − 1, t and t + 1
  float *hebb_in, *eligibility_in;           // [B,P,N] the traces before step t − 1,
  float *hebb, *eligibility;                 // and before step t
  void *rounded_hebb, *rounded_eligibility;  // [B,P,N] the bfloat16 checkpoint of step t; null: none
  bool all_regular;                          // every batch element has an update, no reset, and this step
};

struct ForwardStep {
  StepParams params;
  Record record;
  StepStateRecord step_state;
  std::int64_t t;        // 0 in Plan::step
  int elements;          // per block: 1 to max_elements
  const float* current;  // [B,gates N] the input current of this step; null is zero
  float* y;              // [T,B,N] out
  float* a;              // [T,B,N] out, or null: the pre-activation (LSTM: of the candidate)
  float* modulation;     // [T,B] out, or null
  StepPlaces places{};   // set by the launch
};

/// The end of a forward pass: the last update of the traces, and the final state.
struct Flush {
  StepParams params;
  Record record;
  StepStateRecord step_state;
  float* modulation;  // [T,B] out, or null
  float* final_y;     // [B,N] out, or null, as all below
  float* final_c;
  float* final_hebb;  // [B,P,N]
  float* final_eligibility;
};

/// Copies a state of floats into slot 0. A null source is zero; a null destination is skipped.
struct Load {
  std::int64_t B, N, P;
  int tiles;
  const float *y, *c, *hebb, *eligibility;
  float *slot_y, *slot_c;               // [B,N]
  float *slot_hebb, *slot_eligibility;  // [B,P,N]
  int* phase;                           // [B,tiles] set to 0, or null
};

struct BackwardStep {
  StepParams params;
  Record record;
  std::int64_t t;                                                         // T..0
  int elements;                                                           // per block: 1 to max_elements
  const float* dy;                                                        // [T,B,N] upstream, or null
  const float* dcurrent;                                                  // [T,B,N] upstream of `a`, or null
  const float *dfinal_y, *dfinal_c, *dfinal_hebb, *dfinal_eligibility;    // upstream, or null
  float *dinitial_y, *dinitial_c, *dinitial_hebb, *dinitial_eligibility;  // out, or null
  float* dpre;                                                            // [T,B,P] out, or null
  float* drate;                                                           // [T,B,N] out, or null

  float* da;      // [T,B,gates N] gradient of the currents
  float *G, *GE;  // [B,P,N] gradients of H and E
  // [2][B,tiles,P] and [3][B,tiles,P]: each tile's part of the gradient of x of step t, from the read (slot t
  // % 2) and from the trace update of the same step (slot t % 3).
  TimeSlots<float> dx_read, dx_update;
  TimeSlots<float> dg;     // [2][B,N] gradient of the rate; slot t % 2
  TimeSlots<float> dpost;  // [2][B,N] gradient of post from the trace update of the same step; slot t % 2
  float* dc;               // [B,N] LSTM: gradient of c, carried to the step before

  // Sums over the steps. One thread adds to each column; zero before the first launch.
  float* sum_alpha;     // [B,N] Σ_i x_i ā_j φ(H_ij)
  float* sum_eta;       // [B,N]
  float* sum_v;         // [B,N]
  float* sum_v0;        // [B]
  float* sum_fan;       // [B,N]
  float* sum_fan_bias;  // [B,N]

  bool all_regular =
      false;  // every batch element has both parts of the launch, and no reset; set by the launch
};

}  // namespace plasticity::cuda
