// A failure on a device is an Error that names its cause, and leaves CUDA's error state clean.
#include <cuda_runtime_api.h>

#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

class CudaWrongCalls : public CudaTest {};

void expect_clean_error(ErrorCode code, const std::string& part, const std::function<void()>& call) {
  expect_error(call, code, part);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
}

TEST_F(CudaWrongCalls, RejectedPlans) {
  on_device([] {
    const Spec spec{.neurons = 5};
    const Device device = Device::cuda();
    expect_clean_error(ErrorCode::unsupported, "options.precision",
                       [&] { Plan(spec, {.device = device, .precision = Precision::f64}); });
    expect_clean_error(ErrorCode::invalid_argument, "options.memory_budget",
                       [&] { Plan(spec, {.steps = 9, .device = device, .memory_budget = 64}); });
    const auto forced = [&](std::int64_t neurons, Execution execution, const char* reason) {
      expect_clean_error(ErrorCode::unsupported, reason, [&] {
        Plan({.neurons = neurons}, {.steps = 9, .device = device, .execution = execution});
      });
    };
    forced(600, Execution::cta,
           "options.execution: expected one that fits spec and device, got cta (no kernel has a block of 608 "
           "columns");
    forced(400, Execution::cta, "shared memory");
    forced(3000, Execution::cluster, "options.execution");
    forced(6000, Execution::grid, "options.execution");
    expect_clean_error(ErrorCode::unsupported, "options.execution",
                       [&] { Plan(spec, {.device = Device::cpu(), .execution = Execution::step}); });
    expect_clean_error(ErrorCode::invalid_argument, "options.execution",
                       [&] { Plan(spec, {.device = device, .execution = static_cast<Execution>(17)}); });
    expect_clean_error(ErrorCode::unsupported, "options.batch",
                       [&] { Plan(spec, {.batch = std::int64_t{1} << 32, .device = device}); });
    expect_clean_error(ErrorCode::unsupported, "options.steps", [&] {
      Plan({.neurons = 1}, {.steps = (std::int64_t{1} << 31) + 1, .device = device});
    });
    expect_clean_error(ErrorCode::unsupported, "spec.neurons", [&] {
      Plan({.cell = Cell::feedforward, .inputs = 1, .neurons = (std::int64_t{1} << 31) - 64},
           {.device = device});
    });
    expect_clean_error(ErrorCode::device_unavailable, "Device::cuda(99)", [] { Device::cuda(99); });
  });
}

TEST_F(CudaWrongCalls, HostPointersAndSmallBuffers) {
  on_device([] {
    const Spec spec{.neurons = 5};
    const Device device = Device::cuda();
    const Plan plan(spec, {.steps = 2, .batch = 1, .device = device});
    const DeviceMemory memory(device, 4096), scratch(device, plan.scratch_bytes());
    auto* floats = static_cast<float*>(memory.data());
    ForwardArgs<float> args;
    args.parameters.w = args.parameters.alpha = args.parameters.eta = floats;
    args.inputs.u = floats;
    args.y = floats + 512;
    std::vector<float> host(25);
    ForwardArgs<float> wrong = args;
    wrong.parameters.w = host.data();
    expect_clean_error(ErrorCode::invalid_argument,
                       "parameters.w: expected memory of CUDA device 0, got host memory",
                       [&] { plan.forward({}, wrong, {}, scratch.as<Scratch>()); });
    wrong = args;
    wrong.y = host.data();
    expect_clean_error(ErrorCode::invalid_argument,
                       "y: ", [&] { plan.forward({}, wrong, {}, scratch.as<Scratch>()); });
    wrong = args;
    wrong.a = host.data();
    expect_clean_error(ErrorCode::invalid_argument, "a: expected memory of CUDA device 0",
                       [&] { plan.forward({}, wrong, {}, scratch.as<Scratch>()); });
    expect_clean_error(ErrorCode::invalid_argument, "scratch.bytes", [&] {
      plan.forward({}, args, {}, Scratch{{scratch.data(), 64}});
    });
    expect_clean_error(ErrorCode::invalid_argument, "tape.bytes", [&] {
      plan.forward({}, args, Tape{{memory.data(), 64}}, scratch.as<Scratch>());
    });
  });
}

TEST_F(CudaWrongCalls, OutOfMemory) {
  on_device([] {
    expect_clean_error(ErrorCode::out_of_memory, "memory of CUDA device 0",
                       [] { DeviceMemory(Device::cuda(), std::size_t{1} << 46); });
    EXPECT_NE(DeviceMemory(Device::cuda(), 64).data(), nullptr);  // and a small one is there after all
  });
}

// An earlier error of the program is neither cleared nor reported as one of the library. forward ignores it.
// backward, whose call of CUB would report it, throws and does nothing.
TEST_F(CudaWrongCalls, EarlierErrorOfTheProgram) {
  const TestCase problem = make_test_case({.cell = Cell::rnn, .neurons = 5}, 2, 1, 90);
  Buffers<float> want(problem), got(problem);
  on_device([&] {
    run_cuda(problem, want);
    ProblemOnDevice gpu(problem, got);
    ASSERT_EQ(cudaSetDevice(12345), cudaErrorInvalidDevice);
    gpu.forward({});
    const std::string message = message_of([&] { gpu.backward({}); });
    EXPECT_NE(message.find("an earlier call"), std::string::npos) << message;
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
    gpu.backward({});
    EXPECT_TRUE(gpu.fetch({}));
  });
  EXPECT_EQ(got.outputs, want.outputs);
  EXPECT_EQ(got.gradients, want.gradients);
}

}  // namespace
}  // namespace plasticity::testing
