// The library's calls of CUDA and cuBLAS around a capture: cuBLAS handles, the first launch of a kernel,
// graph updates.
#include <chrono>
#include <future>

#include "cuda/host/two_problems.hpp"
#include "plasticity/error.hpp"
#include "plasticity/trainer.hpp"
#include "problems/episode.hpp"
#include "simt/runtime.hpp"
#include "simt/schedules.hpp"

namespace plasticity::testing {
namespace {

// Two threads capture the products of cuBLAS at the same time: neither may create a handle then.
TEST(CudaCaptures, TwoThreadsCaptureProducts) {
  simt::run([] {
    TwoProblems two(5, 6, Execution::graph);
    const OwnStream stream, other;
    two.first->forward(stream);
    two.second->forward(other);
    two.first->backward(stream);
    two.second->backward(other);
    synchronize(Device::cuda(), stream);
    synchronize(Device::cuda(), other);
    two.first->send();
    two.second->send();
    two.first->move_scratch();
    two.second->move_scratch();  // so that the next calls are captured
    std::future<void> thread;
    simt::runtime::before_gemm([&] {  // the first thread has a handle
      thread = std::async(std::launch::async, [&] { two.second->backward(other); });
      thread.wait_for(std::chrono::milliseconds(300));
    });
    two.first->backward(stream);
    ASSERT_TRUE(thread.valid());
    EXPECT_NO_THROW(thread.get());
    two.first->forward(stream);
    two.second->forward(other);
    two.expect_answers(stream, other);
  });
}

// cublasDestroy() waits for the device, which breaks the captures of all threads.
TEST(CudaCaptures, PlansDieWhileAThreadCaptures) {
  simt::run([] {
    auto plan = std::make_unique<Plan>(Spec{.neurons = 5}, PlanOptions{.device = Device::cuda()});
    const OwnStream stream;
    const Stream on = stream;
    cudaGraph_t graph = nullptr;
    const auto before = simt::runtime::calls();
    ASSERT_EQ(cudaStreamBeginCapture(on.handle, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    on_a_thread([&] { plan.reset(); });
    EXPECT_EQ(cudaStreamEndCapture(on.handle, &graph), cudaSuccess);
    EXPECT_EQ(simt::runtime::calls().synchronisations, before.synchronisations);
    if (graph != nullptr) cudaGraphDestroy(graph);
  });
}

// A handle that is not in use names no stream of the caller's, who may destroy it.
TEST(CudaCaptures, TheHandleForgetsTheStream) {
  simt::run([] {
    TwoProblems two(5, 6, Execution::step);
    {
      const OwnStream stream;
      two.first->forward(stream);
      two.first->backward(stream);
      two.second->forward(stream);
      synchronize(Device::cuda(), stream);
    }
    const OwnStream stream;
    two.second->backward(stream);
    two.expect_answers(stream, stream);
  });
}

/// The memory and arguments of a plan of `spec`, all zero.
struct PlainPlan {
  explicit PlainPlan(const Spec& spec, std::int64_t steps)
      : plan(spec, {.steps = steps, .batch = 2, .device = Device::cuda(), .execution = Execution::graph}),
        data(Device::cuda(), 1 << 16),
        tape(Device::cuda(), plan.tape_bytes()),
        scratch(Device::cuda(), plan.scratch_bytes()) {
    fill_zero(Device::cuda(), {}, data.data(), data.bytes());
    auto* floats = static_cast<float*>(data.data());
    for (const auto& member : Parameters<const float>::members()) {
      if (parameter_shape(spec, member.name)) forward.parameters.*member.pointer = floats;
    }
    forward.inputs.x = floats;
    forward.y = floats + 4096;
    backward.parameters = forward.parameters;
    backward.inputs = forward.inputs;
    backward.dparameters.w = floats + 8192;
  }
  void run() {
    plan.forward({}, forward, tape.as<Tape>(), scratch.as<Scratch>());
    plan.backward({}, backward, tape.as<Tape>(), scratch.as<Scratch>());
  }
  Plan plan;
  const DeviceMemory data, tape, scratch;
  ForwardArgs<float> forward;
  BackwardArgs<float> backward;
};

// CUDA loads a kernel at its first launch, and cuBLAS chooses one at its first product of a shape. A capture
// is no place for either: the first call runs directly, the second is captured.
TEST(CudaCaptures, NothingIsLoadedInACapture) {
  simt::run([] {
    PlainPlan one({.cell = Cell::rnn, .rate = Rate::modulated, .inputs = 3, .neurons = 5}, 6);
    one.run();
    EXPECT_EQ(simt::runtime::calls().graph_launches, 0u);
    one.run();
    EXPECT_EQ(simt::runtime::calls().graph_launches, 2u);
    EXPECT_EQ(simt::runtime::calls().cold_captures, 0u);
    // Other launches than before: more gradients; a matrix off its alignment.
    one.backward.dparameters.w_in = one.backward.dparameters.w + 1024;
    one.backward.dparameters.modulator_weight = one.backward.dparameters.w + 2048;
    for (int repeat = 0; repeat < 2; ++repeat) one.run();
    one.forward.parameters.w = one.backward.parameters.w = one.forward.parameters.w + 1;
    for (int repeat = 0; repeat < 2; ++repeat) one.run();
    EXPECT_EQ(simt::runtime::calls().cold_captures, 0u);
    EXPECT_GT(simt::runtime::calls().graph_launches, 2u);
  });
}

TEST(CudaCaptures, NothingIsLoadedInACaptureOfATrainer) {
  const Spec spec{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 7, .clip = .5};
  const Episode plain(spec, 3, 2, 1), masked(spec, 3, 2, 2, {.reset = true, .length = true, .clamp = true});
  simt::run([&] {
    Network network(spec, {.batch = 2, .device = Device::cuda(), .seed = 5});
    Trainer trainer(network, {.clip_norm = .1});
    for (int repeat = 0; repeat < 3; ++repeat) {
      for (const Episode* episode : {&plain, &masked}) trainer.step(episode->sequence(), episode->target);
    }
    EXPECT_EQ(simt::runtime::calls().cold_captures, 0u);
    EXPECT_EQ(simt::runtime::calls().graph_launches, 4u);  // of each form all but the first
  });
}

// Whatever CUDA says against an update, the graph is instantiated anew.
TEST(CudaCaptures, AGraphThatCannotBeUpdatedIsInstantiated) {
  simt::run([] {
    TwoProblems two(5, 6, Execution::graph, 6);
    const OwnStream stream;
    for (int repeat = 0; repeat < 2; ++repeat) {
      two.first->forward(stream);
      two.second->forward(stream);
    }
    for (const cudaError_t error : {cudaErrorGraphExecUpdateFailure, cudaErrorInvalidValue,
                                    cudaErrorNotSupported, cudaErrorInvalidDeviceFunction}) {
      two.first->move_scratch();
      two.first->send();
      simt::runtime::fail_update(0, error);
      EXPECT_NO_THROW(two.first->forward(stream)) << cudaGetErrorName(error);
      EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
      EXPECT_TRUE(two.first->fetch(stream));
      EXPECT_EQ(two.got.outputs, two.want.outputs);
    }
  });
}

}  // namespace
}  // namespace plasticity::testing
