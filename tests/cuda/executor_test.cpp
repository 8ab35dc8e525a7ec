// Properties that only the executor can test: schedules, the number of launches, offsets beyond 2^31, a
// machine without a GPU.
#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "problems/answers.hpp"
#include "rules/rules.hpp"
#include "simt/runtime.hpp"
#include "simt/schedules.hpp"
#include "simt/sparse_memory.hpp"
#include "step/launch.hpp"
#include "step/tuning.hpp"
#include "support/environment.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

// The same bits for any order of threads and blocks, and no race if the program is built with
// ThreadSanitizer.
void expect_any_schedule_gives_the_same(Execution execution, std::uint64_t seed, std::int64_t neurons,
                                        int count) {
  std::mt19937_64 random(seed);
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    for (int trial = 0; trial < trials(count); ++trial) {
      Spec spec = random_spec(random, neurons, 5);
      if (cell == Cell::lstm) spec.activation = Activation::tanh;
      if (cell != Cell::lstm) spec.modulator_source = ModulatorSource::hidden;
      if (cell == Cell::rnn && trial == 0) spec.activation = Activation::softmax, spec.rate = Rate::modulated;
      spec.cell = cell;
      spec.inputs = 5;
      const TestCase problem = make_test_case(spec, 3, 2, random(), {.reset = true, .clamp = true});
      Buffers<float> want(problem);
      const DeviceOptions options{.execution = execution};
      simt::run([&] { run_cuda(problem, want, options); });
      const simt::Outcome outcome = simt::try_schedules(4, [&] {
        Buffers<float> got(problem);
        return run_cuda(problem, got, options) && got.outputs == want.outputs &&
               got.gradients == want.gradients;
      });
      EXPECT_EQ(outcome.failures, 0) << to_string(execution) << ' ' << problem.name() << ": "
                                     << outcome.first_failure;
    }
  }
}

TEST(CudaUnderTheExecutor, AnyScheduleGivesTheSameBits) {
  expect_any_schedule_gives_the_same(Execution::step, 80, 36, 2);
}

// Small, because ThreadSanitizer permits few blocks that wait for each other.
TEST(CudaUnderTheExecutor, AnyScheduleGivesTheSameBitsOnChip) {
  expect_any_schedule_gives_the_same(Execution::cta, 81, 13, 2);
  expect_any_schedule_gives_the_same(Execution::cluster, 82, 13, 2);
  expect_any_schedule_gives_the_same(Execution::grid, 83, 13, 2);
}

TEST(CudaUnderTheExecutor, AnyScheduleGivesTheSameBitsIfArrivalsAreCounted) {
  const EnvironmentVariable arrival("PLASTICITY_ARRIVAL", "counted");
  expect_any_schedule_gives_the_same(Execution::cluster, 82, 13, 2);
  expect_any_schedule_gives_the_same(Execution::grid, 83, 13, 2);
}

// The first call goes to the stream directly. The second is captured, launched again while the pointers are
// the same, and updated when they are not.
TEST(CudaUnderTheExecutor, CapturesAGraphOnce) {
  const TestCase problem = make_test_case({.cell = Cell::rnn, .neurons = 5}, 6, 2, 92);
  Buffers<float> want(problem), got(problem);
  simt::run([&] {
    run_cuda(problem, want);
    const auto before = simt::runtime::live();
    {
      const OwnStream stream;
      ProblemOnDevice gpu(problem, got, {.execution = Execution::graph});
      const auto pass = [&](Stream on, std::uint64_t graphs = 2) {
        const auto start = simt::runtime::calls();
        gpu.forward(on);
        gpu.backward(on);
        EXPECT_EQ(simt::runtime::calls().graph_launches - start.graph_launches, graphs);
        EXPECT_EQ(simt::runtime::calls().synchronisations, start.synchronisations);
        EXPECT_TRUE(gpu.fetch(on));
        EXPECT_EQ(got.outputs, want.outputs);
        EXPECT_EQ(got.gradients, want.gradients);
        return simt::runtime::calls().launches - start.launches;
      };
      EXPECT_GT(pass(stream, 0), 0u);
      gpu.send();
      EXPECT_GT(pass(stream), 0u);
      const auto kept = simt::runtime::live();
      for (int repeat = 0; repeat < 2; ++repeat) {
        gpu.send();
        EXPECT_EQ(pass(repeat == 0 ? stream : Stream{}), 0u);
      }
      gpu.move_scratch();
      gpu.send();
      EXPECT_GT(pass(stream), 0u);
      EXPECT_EQ(simt::runtime::live(), kept);
    }
    EXPECT_EQ(simt::runtime::live(), before);
  });
}

// A graph that found no memory is captured at the next call.
TEST(CudaUnderTheExecutor, GraphWithoutMemoryThrows) {
  const TestCase problem = make_test_case({.cell = Cell::lstm, .inputs = 3, .neurons = 5}, 6, 2, 93);
  Buffers<float> want(problem), got(problem);
  simt::run([&] {
    run_cuda(problem, want);
    ProblemOnDevice gpu(problem, got, {.execution = Execution::graph});
    gpu.forward({});
    gpu.send();
    for (const std::uint64_t k : {0, 1, 1}) {  // the stream, the graph, the executable
      simt::runtime::fail_acquisition(k);
      SCOPED_TRACE(k);
      expect_error([&] { gpu.forward({}); }, ErrorCode::out_of_memory, "");
      EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
    }
    gpu.forward({});
    gpu.backward({});
    EXPECT_TRUE(gpu.fetch({}));
  });
  EXPECT_EQ(got.outputs, want.outputs);
  EXPECT_EQ(got.gradients, want.gradients);
}

// More elements than the device holds at once come in waves, to the same bits.
TEST(CudaUnderTheExecutor, WavesGiveTheSameBits) {
  std::mt19937_64 random(84);
  for (const Execution execution : {Execution::cta, Execution::cluster, Execution::grid}) {
    for (int trial = 0; trial < trials(3); ++trial) {
      Spec spec = random_spec(random, 3, 2);
      if (trial == 0) {  // one with softmax
        spec.cell = Cell::rnn;
        spec.activation = Activation::softmax;
        spec.modulator_source = ModulatorSource::hidden;
      }
      const bool many = execution != Execution::grid;  // a multiprocessor holds 32 small blocks of those
      const TestCase problem = make_test_case(spec, 3, many ? 70 : 5, random(), random_masks(random));
      const auto run = [&](int multiprocessors) {
        Buffers<float> buffers(problem);
        simt::run([&] {
          simt::runtime::set_device(9, 0, multiprocessors);
          EXPECT_TRUE(run_cuda(problem, buffers, {.execution = execution})) << problem.name();
        });
        return std::pair(buffers.outputs, buffers.gradients);
      };
      // The blocks of a cluster may need a multiprocessor each.
      EXPECT_EQ(run(132), run(execution == Execution::cta ? 1 : 4))
          << to_string(execution) << ' ' << problem.name();
    }
  }
  simt::runtime::reset();
}

// On a device with few multiprocessors each block runs two batch elements, which share the loads of w and
// alpha.
TEST(CudaUnderTheExecutor, TwoElementsPerBlockGiveTheSameBits) {
  std::mt19937_64 random(86);
  int shared = 0;
  for (int trial = 0; trial < trials(12); ++trial) {
    Spec spec = random_spec(random, 36, 5);
    if (trial % 4 != 0) spec.eligibility = Eligibility::none;
    const TestCase problem =
        make_test_case(spec, 4, 5, random(), trial < 4 ? MaskChoice{} : random_masks(random));
    const Precision precision = trial % 3 == 2 ? Precision::bf16 : Precision::f32;
    const auto run = [&](int multiprocessors) {
      Buffers<float> buffers(problem);
      simt::run([&] {
        simt::runtime::set_device(9, 0, multiprocessors);
        EXPECT_TRUE(run_cuda(problem, buffers, {.precision = precision, .execution = Execution::step}))
            << problem.name();
      });
      return std::pair(buffers.outputs, buffers.gradients);
    };
    EXPECT_EQ(run(132), run(1)) << problem.name();
    cuda::StepParams params{};
    params.B = problem.batch;
    params.tiles = 2;
    params.eligibility = spec.eligibility;
    EXPECT_EQ(cuda::elements_per_block(params, true, 132), 1);
    shared += cuda::elements_per_block(params, true, 1) == 2;
  }
  EXPECT_GT(shared, trials(12) / 2);
  simt::runtime::reset();
}

// Without clusters the planner takes the next execution; if nothing fits on chip, a graph.
TEST(CudaUnderTheExecutor, FallsBackToNextExecution) {
  const auto chosen = [](std::int64_t neurons, std::int64_t steps, int major = 9, int multiprocessors = 132) {
    Execution execution{};
    simt::run([&] {
      simt::runtime::set_device(major, 0, multiprocessors);
      const Plan plan({.neurons = neurons}, {.steps = steps, .device = Device::cuda()});
      execution = plan.execution();
    });
    return execution;
  };
  EXPECT_EQ(chosen(20, 9), Execution::cta);
  EXPECT_EQ(chosen(100, 9), Execution::cluster);
  EXPECT_EQ(chosen(1000, 9), Execution::grid);
  EXPECT_EQ(chosen(4000, 9), Execution::graph);
  EXPECT_EQ(chosen(4000, 1), Execution::step);
  EXPECT_EQ(chosen(200, 9, 8, 108), Execution::grid);
  EXPECT_EQ(chosen(128, 9, 8, 1), Execution::cta);  // at most 128 columns
  EXPECT_EQ(chosen(300, 9, 8, 1), Execution::graph);
  simt::runtime::reset();
}

// A sample has its bits of the batch even if the planner chooses another execution for one sample.
TEST(CudaUnderTheExecutor, ASampleAloneHasTheSameBitsInAnotherExecution) {
  const Spec spec{.cell = Cell::rnn,
                  .rule = Rule::hard_clip,
                  .rate = Rate::fan_out,
                  .alpha = Granularity::connection,
                  .neurons = 140};
  const TestCase problem = make_test_case(spec, 12, 4, 87), one = alone(problem, 3);
  Buffers<float> batch(problem), single(one);
  Execution of_batch{}, of_single{};
  simt::run([&] {
    simt::runtime::set_device(8, 0, 8);
    const auto chosen = [&](std::int64_t B) {
      return Plan(spec, {.steps = 12, .batch = B, .device = Device::cuda()}).execution();
    };
    of_batch = chosen(4);
    of_single = chosen(1);
    EXPECT_TRUE(run_cuda(problem, batch));
    EXPECT_TRUE(run_cuda(one, single));
  });
  EXPECT_EQ(of_batch, Execution::graph);
  EXPECT_EQ(of_single, Execution::grid);
  expect_same_alone(problem, answers_in(batch), 3, answers_in(single));
  simt::runtime::reset();
}

// One launch per step, no allocation and no synchronisation; the number of other launches does not depend on
// T. A resident kernel is one launch per sequence.
TEST(CudaUnderTheExecutor, OneLaunchPerStep) {
  const auto launches = [](std::int64_t steps, bool backward, Execution execution = Execution::step) {
    std::uint64_t count = 0;
    simt::run([&] {
      const Spec spec{.cell = Cell::rnn, .rate = Rate::modulated, .inputs = 3, .neurons = 5};
      const Device device = Device::cuda();
      const Plan plan(
          spec,
          {.steps = steps, .batch = 2, .device = device, .checkpoint_interval = 3, .execution = execution});
      const DeviceMemory data(device, 1 << 16), tape(device, plan.tape_bytes()),
          scratch(device, plan.scratch_bytes());
      fill_zero(device, {}, data.data(), data.bytes());
      auto* floats = static_cast<float*>(data.data());
      ForwardArgs<float> args;
      for (const auto& member : Parameters<const float>::members()) {
        if (parameter_shape(spec, member.name)) args.parameters.*member.pointer = floats;
      }
      args.inputs.x = floats;
      args.y = floats + 4096;
      BackwardArgs<float> gradients;
      gradients.parameters = args.parameters;
      gradients.inputs = args.inputs;
      gradients.dparameters.w = floats + 8192;
      const auto before = simt::runtime::calls();
      plan.forward({}, args, tape.as<Tape>(), scratch.as<Scratch>());
      if (backward) plan.backward({}, gradients, tape.as<Tape>(), scratch.as<Scratch>());
      const auto after = simt::runtime::calls();
      EXPECT_EQ(after.acquisitions, before.acquisitions);
      EXPECT_EQ(after.synchronisations, before.synchronisations);
      count = after.launches - before.launches;
      synchronize(device, {});
    });
    return count;
  };
  EXPECT_EQ(launches(9, false) - launches(4, false), 5u);
  EXPECT_EQ(launches(9, true) - launches(4, true), 10u + 1u);  // a segment more to replay
  EXPECT_EQ(launches(4, false), 4u + 3u);  // the steps; the state, the input currents, the flush
  for (const Execution execution : {Execution::cta, Execution::cluster, Execution::grid}) {
    EXPECT_EQ(launches(4, false, execution), 2u);  // the input currents, the sequence
    EXPECT_EQ(launches(9, false, execution), 2u);
    EXPECT_EQ(launches(9, true, execution), launches(4, true, execution));
  }
}

// The last of many batch elements, whose trace begins beyond 2^31 elements.
TEST(CudaUnderTheExecutor, OffsetsBeyondTwoToTheThirtyOne) {
  const std::int64_t N = 64, B = 600000, b = B - 1;
  simt::SparseArray<float> hebb(static_cast<std::size_t>(B * N * N)), y(static_cast<std::size_t>(B * N)),
      shown(static_cast<std::size_t>(3 * B * N)), current(static_cast<std::size_t>(B * N));
  std::vector<float> w(static_cast<std::size_t>(N * N), .25f), alpha{.5f}, eta{.1f};
  const auto at = [](std::int64_t index) { return static_cast<std::size_t>(index); };
  for (std::int64_t i = 0; i < N; ++i) shown[at(b * N + i)] = .01f * static_cast<float>(i);
  for (std::int64_t ij = 0; ij < N * N; ++ij) hebb[at(b * N * N + ij)] = .001f * static_cast<float>(ij % 7);
  cuda::ForwardStep step{};
  step.elements = 1;
  cuda::StepParams& p = step.params;
  p.T = 1;
  p.B = B;
  p.N = p.P = N;
  p.tiles = static_cast<int>(N / cuda::tile_columns);
  p.cell = Cell::rnn;
  p.clip = 1;
  p.w = w.data();
  p.alpha = alpha.data();
  p.eta = eta.data();
  step.record.ring = true;
  step.record.output = step.record.post = {shown.data(), B * N};
  step.record.hebb = {hebb.data(), 0};
  step.current = current.data();
  step.y = y.data();
  const simt::KeepConfig keep;
  simt::run([&] {
    simt::config().only_block = [&](auto block) {
      return block.x >= static_cast<unsigned>(b * N / cuda::tile_columns);
    };
    cuda::ForwardKernels<Form::linear>::launch_step(step, true, nullptr);
    synchronize(Device::cuda(), {});
  });
  for (std::int64_t j = 0; j < N; ++j) {
    double sum = 0;
    for (std::int64_t i = 0; i < N; ++i) {
      sum += .01 * static_cast<double>(i) * (.25 + .5 * .001 * static_cast<double>((i * N + j) % 7));
    }
    EXPECT_NEAR(y[at(b * N + j)], std::tanh(sum), 1e-6);
  }
}

// The same backward: ā, the sums of rows and the gradient of the trace of the last batch element.
TEST(CudaUnderTheExecutor, OffsetsBeyondTwoToTheThirtyOneBackward) {
  const std::int64_t N = 64, B = 600000, b = B - 1, tiles = N / cuda::tile_columns;
  const auto at = [](std::int64_t index) { return static_cast<std::size_t>(index); };
  const auto sparse = [&](std::int64_t size) { return simt::SparseArray<float>(at(size)); };
  auto hebb = sparse(B * N * N), G = sparse(B * N * N), dhebb = sparse(B * N * N), shown = sparse(2 * B * N),
       dy = sparse(B * N), da = sparse(B * N), rows = sparse(2 * B * tiles * N),
       updates = sparse(3 * B * tiles * N), rates = sparse(2 * B * N), dpost = sparse(2 * B * N),
       alpha_sums = sparse(B * N), eta_sums = sparse(B * N);
  std::vector<float> w(at(N * N), .25f), alpha{.5f}, eta{.1f};
  for (std::int64_t i = 0; i < N; ++i) {
    shown[at(b * N + i)] = .01f * static_cast<float>(i);  // x; y, in the next slot, is 0
    dy[at(b * N + i)] = .02f * static_cast<float>(i % 5);
  }
  for (std::int64_t ij = 0; ij < N * N; ++ij) hebb[at(b * N * N + ij)] = .001f * static_cast<float>(ij % 7);
  cuda::BackwardStep step{};
  step.elements = 1;
  cuda::StepParams& p = step.params;
  p.T = 1;
  p.B = B;
  p.N = p.P = N;
  p.tiles = static_cast<int>(tiles);
  p.cell = Cell::rnn;
  p.clip = 1;
  p.w = w.data();
  p.alpha = alpha.data();
  p.eta = eta.data();
  step.record.output = step.record.post = {shown.data(), B * N};
  step.record.hebb = {hebb.data(), B * N * N};
  step.dy = dy.data();
  step.dinitial_hebb = dhebb.data();
  step.da = da.data();
  step.G = G.data();
  step.dx_read = {rows.data(), B * tiles * N};
  step.dx_update = {updates.data(), B * tiles * N};
  step.dg = {rates.data(), B * N};
  step.dpost = {dpost.data(), B * N};
  step.sum_alpha = alpha_sums.data();
  step.sum_eta = eta_sums.data();
  const simt::KeepConfig keep;
  simt::run([&] {
    simt::config().only_block = [&](auto block) { return block.x >= static_cast<unsigned>(b * tiles); };
    cuda::BackwardKernels<Form::linear>::launch_step(step, {.bf16 = false, .wide = true}, nullptr);
    synchronize(Device::cuda(), {});
  });
  for (std::int64_t i = 0; i < N; ++i) {
    double dx = 0, got = 0;
    for (std::int64_t j = 0; j < N; ++j) {
      const double daj = .02 * static_cast<double>(j % 5), xi = .01 * static_cast<double>(i);
      dx += (.25 + .5 * .001 * static_cast<double>((i * N + j) % 7)) * daj;
      EXPECT_NEAR(dhebb[at((b * N + i) * N + j)], .5 * xi * daj, 1e-6);
    }
    for (std::int64_t tile = 0; tile < tiles; ++tile) got += rows[at((b * tiles + tile) * N + i)];
    EXPECT_NEAR(got, dx, 1e-5);
  }
}

TEST(CudaUnderTheExecutor, NamesTheReasonWithoutADevice) {
  simt::runtime::set_device_count(0, 35);
  EXPECT_NE(cuda_unavailable_reason().find("driver"), std::string::npos) << cuda_unavailable_reason();
  EXPECT_EQ(Device::best().kind(), DeviceKind::cpu);
  EXPECT_THROW(Device::cuda(), Error);
  simt::runtime::reset();
  EXPECT_EQ(cuda_unavailable_reason(), "");
}

// A fault of a kernel is an error of the call that synchronizes, and destructors ignore it.
TEST(CudaUnderTheExecutor, NextSynchronisationReportsAFault) {
  const TestCase problem = make_test_case({.cell = Cell::rnn, .neurons = 5}, 2, 1, 91);
  Buffers<float> buffers(problem);
  simt::run([&] {
    {
      ProblemOnDevice gpu(problem, buffers);
      simt::runtime::fail_next_kernel();
      gpu.forward({});
      expect_error([] { synchronize(Device::cuda(), {}); }, ErrorCode::device_unavailable, "");
    }
    simt::runtime::reset();
  });
}

// The first plan on a device throws if there is no memory for the cuBLAS handle. The next plan creates the
// handle, and later plans use it.
TEST(CudaUnderTheExecutor, PlanWithoutMemoryThrows) {
  simt::run([] {
    simt::runtime::set_device_count(8);
    const Device unused = Device::cuda(7);
    auto before = simt::runtime::live();
    simt::runtime::fail_acquisition(0);
    expect_error([&] { Plan({.neurons = 5}, {.device = unused}); }, ErrorCode::out_of_memory, "");
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
    EXPECT_EQ(simt::runtime::live(), before);
    ++before.blas_handles;
    for (int repeat = 0; repeat < 2; ++repeat) {
      Plan({.neurons = 5}, {.device = unused});
      EXPECT_EQ(simt::runtime::live(), before);
    }
  });
}

}  // namespace
}  // namespace plasticity::testing
