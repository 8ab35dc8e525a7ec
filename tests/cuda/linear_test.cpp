// A linear layer on a GPU against the one on the CPU, and the core calls on device memory.
#include "plasticity/linear.hpp"

#include "cuda/on_device.hpp"
#include "plasticity/loss.hpp"
#include "plasticity/optimizer.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

#if defined(PLASTICITY_SIMT_TEST)
#include <cstdlib>
#include <functional>

#include "simt/runtime.hpp"
#endif

namespace plasticity::testing {
namespace {

class CudaLinear : public CudaTest {};

// A few hundred float roundings of 6e-8 in sums of at most 130 terms.
constexpr double tolerance = 1e-5;

struct Sizes {
  std::int64_t rows, inputs, outputs;
};

TEST_F(CudaLinear, MatchesTheCpu) {
  for (const Sizes& size :
       {Sizes{1, 1, 1}, Sizes{5, 7, 3}, Sizes{65, 130, 66}, Sizes{0, 4, 2}, Sizes{64, 64, 64}}) {
    on_device([&] {
      Linear want(size.inputs, size.outputs, 5), got(size.inputs, size.outputs, 5, "linear", Device::cuda());
      const std::vector<float> x = noise(static_cast<std::size_t>(size.rows * size.inputs), 1),
                               dy = noise(static_cast<std::size_t>(size.rows * size.outputs), 2);
      std::vector<float> y(dy.size(), 9.0f), want_y = y, dx(x.size(), 9.0f), want_dx = dx;
      for (int pass = 0; pass < 2; ++pass) {  // gradients add up, and the memory is reused
        want.forward(x, want_y);
        got.forward(x, y);
        want.backward(x, dy, want_dx);
        got.backward(x, dy, dx);
      }
      EXPECT_LT(difference(y, want_y), tolerance);
      EXPECT_LT(difference(dx, want_dx), tolerance);
      want.backward(x, dy, {});
      got.backward(x, dy, {});
      for (std::size_t k = 0; k < 2; ++k) {
        EXPECT_LT(difference(copied(got.parameters()[k].gradient), copied(want.parameters()[k].gradient)),
                  tolerance)
            << got.parameters()[k].name;
        EXPECT_EQ(copied(got.parameters()[k].value), copied(want.parameters()[k].value));
      }
    });
  }
}

TEST_F(CudaLinear, ReadsOutANetworkAsOnTheCpu) {
  const Spec spec{.rule = Rule::oja, .inputs = 3, .neurons = 7};
  const Episode episode(spec, 4, 2, 3);
  const std::vector<std::int64_t> labels{0, 1, 1, -1, 0, 1, 0, 0};
  on_device([&] {
    std::vector<double> losses[2];
    for (const Device device : {Device::cpu(1), Device::cuda()}) {
      Network network(spec, {.batch = 2, .device = device, .seed = 5});
      Linear readout(7, 2, 6, "readout", device);
      EXPECT_EQ(readout.device().kind(), device.kind());
      Adam adam({.learning_rate = 1e-2, .epsilon = 1e-2});
      for (int iteration = 0; iteration < 5; ++iteration) {
        network.reset();
        const auto y = network.forward(episode.sequence());
        std::vector<float> logits(16), dlogits(16), dy(y.size());
        readout.forward(y, logits);
        losses[device.kind() == DeviceKind::cpu ? 0 : 1].push_back(
            softmax_cross_entropy(logits, labels, 2, dlogits));
        network.zero_gradients();
        readout.zero_gradients();
        readout.backward(y, dlogits, dy);
        network.backward(dy);
        std::vector<ParameterView> parameters = network.parameters();
        for (const ParameterView& each : readout.parameters()) parameters.push_back(each);
        adam.step(parameters);
      }
    }
    EXPECT_LT(losses[0].back(), losses[0].front());
    EXPECT_LT(difference(losses[1], losses[0]), tolerance);
  });
}

TEST_F(CudaLinear, ARowHasTheBitsThatItHasAlone) {
  on_device([] {
    const Linear layer(33, 70, 5, "linear", Device::cuda());
    const std::vector<float> x = noise(90 * 33, 1);
    std::vector<float> y(90 * 70), alone(70);
    layer.forward(x, y);
    layer.forward(std::span(x).subspan(77 * 33, 33), alone);
    EXPECT_EQ(std::vector<float>(y.begin() + 77 * 70, y.begin() + 78 * 70), alone);
  });
}

TEST_F(CudaLinear, ACopyHasItsOwnMemory) {
  on_device([] {
    Linear first(3, 2, 5, "linear", Device::cuda());
    const std::vector<float> x = noise(6, 1);
    std::vector<float> y(4), again(4);
    first.forward(x, y);
    const Linear copy = first;
    first.parameters()[0].value[0] += 1;
    copy.forward(x, again);
    EXPECT_EQ(again, y);
    const Linear moved = std::move(first);
    moved.forward(x, again);
    EXPECT_NE(again, y);
  });
}

#if defined(PLASTICITY_SIMT_TEST)

/// Returns the number of copies of a call.
std::uint64_t copies_of(const std::function<void()>& call) {
  const std::uint64_t before = simt::runtime::calls().copies;
  call();
  return simt::runtime::calls().copies - before;
}

// x to the GPU and y back; W and b too if they may have changed.
TEST_F(CudaLinear, UploadsParametersAfterChangesOnly) {
  on_device([] {
    Linear layer(3, 2, 5, "linear", Device::cuda());
    const std::vector<float> x = noise(6, 1), dy = noise(4, 2);
    std::vector<float> y(4), dx(6);
    const auto forward = [&] { return copies_of([&] { layer.forward(x, y); }); };
    EXPECT_EQ(forward(), 4u);
    EXPECT_EQ(forward(), 2u);
    // To the GPU: x, dy and the gradients. Back: the gradients and dx. cuBLAS needs none.
    const std::uint64_t backward = copies_of([&] { layer.backward(x, dy, dx); });
    EXPECT_EQ(copies_of([&] { layer.backward(x, dy, dx); }), backward);
    EXPECT_EQ(forward(), 2u);
    const std::vector<ParameterView> views = layer.parameters();
    EXPECT_EQ(forward(), 4u);
    EXPECT_EQ(forward(), 2u);
    Adam adam;
    const std::vector<float> before = y;
    adam.step(views);
    EXPECT_EQ(forward(), 4u);
    EXPECT_NE(y, before);
    io::TensorFile file;
    layer.save(file);
    EXPECT_EQ(forward(), 2u);
    layer.load(file);
    EXPECT_EQ(forward(), 4u);
    Linear other(3, 2, 6, "linear", Device::cuda());
    other.forward(x, y);
    layer = other;
    std::vector<float> want = y;
    layer.forward(x, y);
    EXPECT_EQ(y, want);
  });
}

// A write that the layer cannot see is found if the checks are on.
TEST_F(CudaLinear, ChecksFindAHiddenWrite) {
  ::setenv("PLASTICITY_CHECKS", "on", 1);
  on_device([] {
    Linear layer(3, 2, 5, "linear", Device::cuda());
    const std::vector<float> x = noise(6, 1);
    std::vector<float> y(4);
    const std::vector<ParameterView> views = layer.parameters();
    layer.forward(x, y);
    views[0].value[0] += 1;
    expect_error([&] { layer.forward(x, y); }, ErrorCode::invalid_argument,
                 "linear: expected the parameters on the device (call parameters() again");
    layer.parameters();
    layer.forward(x, y);
  });
  ::unsetenv("PLASTICITY_CHECKS");
}

#endif

TEST_F(CudaLinear, WrongCallsAreNamed) {
  on_device([] {
    const Device device = Device::cuda();
    std::vector<float> host(64);
    const DeviceMemory memory(device, 4096);
    auto* const on_gpu = static_cast<float*>(memory.data());
    const LinearArgs good{.rows = 2,
                          .inputs = 3,
                          .outputs = 4,
                          .x = on_gpu,
                          .weight = on_gpu + 64,
                          .bias = on_gpu + 128,
                          .y = on_gpu + 192};
    LinearArgs wrong = good;
    wrong.x = host.data();
    expect_error([&] { linear_forward(device, {}, wrong); }, ErrorCode::invalid_argument,
                 "args.x: expected memory of CUDA device 0, got host memory");
    wrong = good;
    wrong.bias = nullptr;
    expect_error([&] { linear_forward(device, {}, wrong); }, ErrorCode::invalid_argument,
                 "args.bias: expected [1,4] elements, got null");
    wrong.rows = -1;
    expect_error([&] { linear_forward(device, {}, wrong); }, ErrorCode::invalid_argument,
                 "args.rows: expected at least 0, got -1");
    wrong = good;
    wrong.rows = std::int64_t{1} << 40;
    wrong.inputs = 0;  // so that y, the last of the memory, overlaps no other tensor
    expect_error([&] { linear_forward(device, {}, wrong); }, ErrorCode::unsupported, "args.rows");
    LinearGradientArgs backward{.rows = 2,
                                .inputs = 3,
                                .outputs = 4,
                                .x = on_gpu,
                                .dy = on_gpu + 64,
                                .dweight = on_gpu + 128,
                                .dbias = on_gpu + 192,
                                .dx = on_gpu + 256};
    const DeviceMemory scratch(device, linear_scratch_bytes(device, 3, 4));
    expect_error([&] { linear_backward(device, {}, backward, scratch.as<Scratch>()); },
                 ErrorCode::invalid_argument, "args.weight: expected [3,4] elements, got null");
    backward.dx = nullptr;
    expect_error(
        [&] {
          linear_backward(device, {}, backward, Scratch{{on_gpu, 64}});
        },
        ErrorCode::invalid_argument, "scratch.bytes: expected at least");
    linear_backward(device, {}, backward, scratch.as<Scratch>());
    linear_forward(device, {}, good);
    synchronize(device, {});
  });
}

}  // namespace
}  // namespace plasticity::testing
