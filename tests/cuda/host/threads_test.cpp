// The host's side of the CUDA part from several threads at once, under ThreadSanitizer. The stand-in's lock
// is hidden: it would order all threads that call CUDA. Kernels do not run (their blocks are left out), only
// the host does.
#include <atomic>
#include <deque>
#include <thread>

#include "cuda/on_device.hpp"
#include "plasticity/trainer.hpp"
#include "problems/episode.hpp"
#include "simt/config.hpp"
#include "simt/runtime.hpp"
#include "simt/schedules.hpp"

namespace plasticity::testing {
namespace {

constexpr int threads = 3;

class CudaHostThreads : public ::testing::Test {
 protected:
  void SetUp() override {
    simt::runtime::reset();
    simt::config().only_block = [](auto) { return false; };
    races_before_ = simt::races();
  }
  void TearDown() override {
    simt::runtime::hide_lock(false);
    simt::config().only_block = nullptr;
    EXPECT_EQ(simt::races(), races_before_) << "races, which ThreadSanitizer has reported above";
    simt::runtime::reset();
  }

  /// Runs call(k) on thread k of a few, as nearly at once as can be had.
  template <class Call>
  void at_once(const Call& call) {
    simt::runtime::hide_lock(true);
    std::atomic<int> ready = 0;
    std::vector<std::string> errors(threads);
    std::vector<std::thread> running;
    for (int k = 0; k < threads; ++k) {
      running.emplace_back([&, k] {
        ready.fetch_add(1, std::memory_order_relaxed);  // orders nothing
        while (ready.load(std::memory_order_relaxed) < threads) std::this_thread::yield();
        try {
          call(k);
        } catch (const std::exception& error) {
          errors[static_cast<std::size_t>(k)] = error.what();
        }
      });
    }
    for (std::thread& thread : running) thread.join();
    simt::runtime::hide_lock(false);
    for (const std::string& error : errors) EXPECT_EQ(error, "");
  }

 private:
  int races_before_ = 0;
};

/// Memory of the device for a plan, all parameters in one place.
struct Work {
  Work(const std::shared_ptr<const Plan>& shared, const Spec& spec)
      : plan(shared),
        data(Device::cuda(), 1 << 20),
        tape(Device::cuda(), plan->tape_bytes()),
        scratch(Device::cuda(), plan->scratch_bytes()) {
    auto* floats = static_cast<float*>(data.data());
    for (const auto& member : Parameters<const float>::members()) {
      if (parameter_shape(spec, member.name)) forward.parameters.*member.pointer = floats;
    }
    forward.inputs.x = floats;
    forward.y = floats + (1 << 16);
    backward.parameters = forward.parameters;
    backward.inputs = forward.inputs;
    backward.dparameters.w = floats + (1 << 17);
  }
  /// Forward and backward a few times, so that graphs are captured and launched.
  void run() const {
    const OwnStream stream;
    for (int call = 0; call < 4; ++call) {
      plan->forward(stream, forward, tape.as<Tape>(), scratch.as<Scratch>());
      plan->backward(stream, backward, tape.as<Tape>(), scratch.as<Scratch>());
    }
    synchronize(Device::cuda(), stream);
  }
  std::shared_ptr<const Plan> plan;
  const DeviceMemory data, tape, scratch;
  ForwardArgs<float> forward;
  BackwardArgs<float> backward;
};

std::shared_ptr<const Plan> plan_of(const Spec& spec, Execution execution, int device = 0) {
  return std::make_shared<const Plan>(
      spec, PlanOptions{.steps = 5, .batch = 2, .device = Device::cuda(device), .execution = execution});
}

const Spec small{.cell = Cell::rnn, .inputs = 3, .neurons = 5};

// Plans are made, used and dropped. The sizes differ, and the largest kernels need much shared memory.
TEST_F(CudaHostThreads, APlanEach) {
  for (const Execution execution : {Execution::step, Execution::graph, Execution::cta, Execution::cluster}) {
    at_once([&](int k) {
      for (int repeat = 0; repeat < 2; ++repeat) {
        const Spec spec{
            .cell = Cell::rnn, .inputs = 3, .neurons = execution == Execution::cta ? 90 + k : 5 + k};
        Work(plan_of(spec, execution), spec).run();
      }
    });
  }
}

// One plan, its graphs captured and updated by all threads in turns.
TEST_F(CudaHostThreads, OnePlanForAll) {
  for (const Execution execution : {Execution::step, Execution::graph}) {
    const auto plan = plan_of(small, execution);
    std::deque<Work> work;
    for (int k = 0; k < threads; ++k) work.emplace_back(plan, small);
    at_once([&](int k) { work[static_cast<std::size_t>(k)].run(); });
  }
}

TEST_F(CudaHostThreads, ADeviceEach) {
  simt::runtime::set_device_count(threads);
  at_once([&](int k) {
    const auto plan = plan_of(small, Execution::graph, k);
    plan_of(small, Execution::cta, k);
  });
}

TEST_F(CudaHostThreads, ATrainerEach) {
  const Spec spec{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 7, .clip = .5};
  std::deque<Episode> episodes;
  for (int k = 0; k < threads; ++k) episodes.emplace_back(spec, 3 + k % 2, 2, 170 + k);
  at_once([&](int k) {
    const OwnStream stream;
    const Episode& episode = episodes[static_cast<std::size_t>(k)];
    Network network(spec, {.batch = 2, .device = Device::cuda(), .seed = 5, .stream = stream});
    Trainer trainer(network, {.clip_norm = .1});
    for (int call = 0; call < 4; ++call) {
      trainer.step(episode.sequence(), episode.target);
      network.reset();
      network.infer(episode.sequence());
    }
  });
}

}  // namespace
}  // namespace plasticity::testing
