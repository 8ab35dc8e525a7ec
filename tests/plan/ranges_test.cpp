// Every public call is one range in a profiler's timeline, and ends its range when it throws. This test is a
// program of its own because it registers a fake CUDA API.
#include "device/profiler_range.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "plasticity/plasticity.hpp"

namespace plasticity {
namespace {

std::vector<std::string> begun;
int open_ranges = 0;

const CudaApi fake_api = [] {
  CudaApi fake{};
  fake.unavailable_reason = [] { return std::string("no device in this test"); };
  fake.begin_range = [](const char* name) noexcept {
    begun.emplace_back(name);
    ++open_ranges;
  };
  fake.end_range = []() noexcept { --open_ranges; };
  return fake;
}();

/// Returns the names of the ranges that a call begins.
template <class Call>
std::vector<std::string> ranges(Call call) {
  register_cuda_api(fake_api);
  begun.clear();
  call();
  EXPECT_EQ(open_ranges, 0);
  return begun;
}

TEST(Ranges, EveryPlanCallIsOneRange) {
  const Spec spec{.neurons = 3};
  const Device device = Device::cpu(1);
  const Plan plan(spec, {.device = device});
  const DeviceMemory tape(device, plan.tape_bytes()), scratch(device, plan.scratch_bytes()),
      step_state(device, plan.step_state_bytes());
  std::vector<float> w(9), alpha(9), eta(1), u(3), y(3);
  ForwardArgs<float> forward;
  forward.parameters = {.w = w.data(), .alpha = alpha.data(), .eta = eta.data()};
  forward.inputs.u = u.data();
  forward.y = y.data();
  BackwardArgs<float> backward;
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
  StepArgs<float> step;
  step.parameters = forward.parameters;
  step.inputs = forward.inputs;
  step.y = y.data();
  EXPECT_EQ(ranges([&] {
              plan.forward({}, forward, tape.as<Tape>(), scratch.as<Scratch>());
              plan.backward({}, backward, tape.as<Tape>(), scratch.as<Scratch>());
              plan.load({}, State<const float>{}, step_state.as<StepState>());
              plan.step({}, step, step_state.as<StepState>(), scratch.as<Scratch>());
              plan.store({}, State<float>{}, step_state.as<StepState>());
            }),
            (std::vector<std::string>{"plasticity::Plan::forward", "plasticity::Plan::backward",
                                      "plasticity::Plan::load", "plasticity::Plan::step",
                                      "plasticity::Plan::store"}));
}

TEST(Ranges, ModuleRangesContainPlanRanges) {
  Network network({.neurons = 3}, {.device = Device::cpu(1)});
  Adam adam;
  const std::vector<float> u(3);
  EXPECT_EQ(ranges([&] {
              network.infer({.steps = 1, .u = u});
              network.forward({.steps = 1, .u = u});
              network.backward({});
              adam.step(network.parameters());
            }),
            (std::vector<std::string>{
                "plasticity::Network::infer", "plasticity::Plan::load", "plasticity::Plan::step",
                "plasticity::Network::forward", "plasticity::Plan::store", "plasticity::Plan::forward",
                "plasticity::Network::backward", "plasticity::Plan::backward", "plasticity::Optimizer::step",
                "plasticity::find_not_finite", "plasticity::update_step"}));
  Trainer trainer(network, {.clip_norm = 1});
  EXPECT_EQ(ranges([&] { trainer.step({.steps = 1, .u = u}, u); }),
            (std::vector<std::string>{"plasticity::Trainer::step", "plasticity::Plan::forward",
                                      "plasticity::squared_error", "plasticity::Plan::backward",
                                      "plasticity::find_not_finite", "plasticity::clip_gradients",
                                      "plasticity::update_step"}));
  const std::vector<std::int64_t> labels{1};
  EXPECT_EQ(ranges([&] { trainer.step_labels({.steps = 1, .u = u}, labels); }),
            (std::vector<std::string>{"plasticity::Trainer::step_labels", "plasticity::Plan::forward",
                                      "plasticity::softmax_cross_entropy", "plasticity::Plan::backward",
                                      "plasticity::find_not_finite", "plasticity::clip_gradients",
                                      "plasticity::update_step"}));
}

TEST(Ranges, AnErrorClosesTheRange) {
  Network network({.neurons = 3}, {.device = Device::cpu(1)});
  const std::vector<float> wrong(4);
  EXPECT_EQ(ranges([&] {
              EXPECT_THROW(network.forward({.steps = 1, .u = wrong}), Error);
              EXPECT_THROW(network.backward({}), Error);
            }),
            (std::vector<std::string>{"plasticity::Network::forward", "plasticity::Network::backward"}));
}

}  // namespace
}  // namespace plasticity
