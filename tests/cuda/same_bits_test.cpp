// What must give the same bits on a device: a second run, a sample alone or in a batch, steps one by one, a
// captured graph replayed.
#include <cuda_runtime_api.h>

#include "cuda/on_device.hpp"

namespace plasticity::testing {
namespace {

class CudaSameBits : public CudaTest {};

std::vector<Problem> problems(std::uint64_t seed, int count, MaskChoice* fixed = nullptr) {
  std::mt19937_64 random(seed);
  std::vector<Problem> list;
  for (int trial = 0; trial < count; ++trial) {
    const Spec spec = random_spec(random, trial % 2 == 0 ? 36 : 35, 5);
    const MaskChoice masks = random_masks(random);
    list.push_back(make_problem(spec, 5, 4, random(), fixed == nullptr ? masks : *fixed));
  }
  return list;
}

TEST_F(CudaSameBits, ForASecondRun) {
  for (const Problem& problem : problems(70, 12)) {
    Buffers<float> first(problem), second(problem);
    on_device([&] { run_cuda(problem, first); });
    on_device([&] { run_cuda(problem, second); });
    EXPECT_EQ(first.outputs, second.outputs) << problem.name();
    EXPECT_EQ(first.gradients, second.gradients) << problem.name();
  }
}

void expect_row(const std::vector<float>& all, const std::vector<float>& own, std::int64_t b,
                std::int64_t outer, const std::string& what) {
  const std::int64_t columns = static_cast<std::int64_t>(own.size()) / outer;
  for (std::int64_t t = 0; t < outer; ++t) {
    for (std::int64_t k = 0; k < columns; ++k) {
      ASSERT_EQ(all[static_cast<std::size_t>((t * 4 + b) * columns + k)],
                own[static_cast<std::size_t>(t * columns + k)])
          << what;
    }
  }
}

TEST_F(CudaSameBits, ForASampleAlone) {
  for (const Problem& problem : problems(71, 10)) {
    Buffers<float> batch(problem);
    on_device([&] { run_cuda(problem, batch); });
    for (std::int64_t b = 0; b < 4; b += 3) {
      const Problem one = alone(problem, b);
      Buffers<float> single(one);
      on_device([&] { run_cuda(one, single); });
      for (const auto& [name, values] : single.outputs) {
        expect_row(batch.outputs.at(name), values, b, name.starts_with("state.") ? 1 : 5,
                   name + problem.name());
      }
      for (const auto& [name, values] : single.gradients) {
        if (name.starts_with("param.")) continue;  // summed over the batch
        expect_row(batch.gradients.at(name), values, b, name.starts_with("state.") ? 1 : 5,
                   name + problem.name());
      }
    }
  }
}

TEST_F(CudaSameBits, ForStepsOneByOne) {
  MaskChoice masks{.reset = true};
  for (const Problem& problem : problems(72, 12, &masks)) {
    Buffers<float> sequence(problem), steps(problem);
    on_device([&] {
      run_cuda(problem, sequence);
      run_cuda(problem, steps, {.live = true});
    });
    EXPECT_EQ(sequence.outputs, steps.outputs) << problem.name();
  }
}

TEST_F(CudaSameBits, ForACapturedGraph) {
  const Spec spec{.cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::modulated, .neurons = 36};
  const Problem problem = make_problem(spec, 4, 2, 73);
  Buffers<float> want(problem);
  on_device([&] { run_cuda(problem, want); });
  on_device([&] {
    const Device device = Device::cuda();
    const Plan plan(spec, {.steps = 4, .batch = 2, .device = device});
    const auto upload = [&](const std::vector<float>& values) {
      DeviceMemory memory(device, values.size() * sizeof(float));
      copy(device, {}, memory.data(), values.data(), memory.bytes());
      return memory;
    };
    std::map<std::string, DeviceMemory> inputs;
    Buffers<float> host(problem);
    for (const auto& [name, values] : host.inputs) inputs[name] = upload(values);
    ForwardArgs<float> args;
    for (const auto& member : Parameters<const float>::members()) {
      const auto found = inputs.find("param." + std::string(member.name));
      if (found != inputs.end())
        args.parameters.*member.pointer = static_cast<const float*>(found->second.data());
    }
    args.inputs.u = static_cast<const float*>(inputs.at("input.u").data());
    args.initial_state.y = static_cast<const float*>(inputs.at("state.y").data());
    args.initial_state.hebb = static_cast<const float*>(inputs.at("state.hebb").data());
    const DeviceMemory y(device, want.outputs.at("y").size() * sizeof(float)),
        tape(device, plan.tape_bytes()), scratch(device, plan.scratch_bytes());
    args.y = static_cast<float*>(y.data());

    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    plan.forward({stream}, args, tape.as<Tape>(), scratch.as<Scratch>());
    ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    for (int replay = 0; replay < 2; ++replay) {
      std::vector<float> got(want.outputs.at("y").size());
      ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
      copy(device, {stream}, got.data(), y.data(), y.bytes());
      EXPECT_EQ(got, want.outputs.at("y"));
    }
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
  });
}

}  // namespace
}  // namespace plasticity::testing
