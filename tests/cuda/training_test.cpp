// The core calls of training on a GPU against the CPU: the loss, clipping and Adam, on the caller's buffers.
#include "plasticity/training.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/throw_error.hpp"
#include "cuda/device_copy.hpp"
#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t B = 2;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
using Tensors = std::map<std::string, std::vector<float>>;

class CudaTraining : public CudaTest {
 protected:
  DeviceMemory scratch() const { return {Device::cuda(), training_scratch_bytes(Device::cuda())}; }
};

struct ErrorCase {
  std::size_t elements;
  bool masked = true, wants_dy = true, with_nan = false, in_place = false;
  Reduction reduction = Reduction::mean;
  std::size_t shift = 0;
};

void expect_error_matches_the_cpu(const ErrorCase& c, const DeviceMemory& scratch) {
  std::vector<float> y = noise(c.elements, 1), target = noise(c.elements, 2), dy(c.elements, 9);
  std::vector<std::uint8_t> mask(c.elements);
  for (std::size_t k = 0; k < c.elements; ++k) mask[k] = k % 3 == 1 ? 7 : 0;
  if (c.with_nan) y[c.elements / 2 / 3 * 3] = nan;  // a masked entry
  double loss = 5;
  SquaredErrorArgs args{.elements = static_cast<std::int64_t>(c.elements),
                        .y = y.data(),
                        .target = target.data(),
                        .mask = c.masked ? mask.data() : nullptr,
                        .reduction = c.reduction,
                        .dy = c.wants_dy ? dy.data() : nullptr,
                        .loss = &loss};
  const DeviceCopy<float> y_on_gpu(y, c.shift), target_on_gpu(target, c.shift), dy_on_gpu(dy, c.shift);
  const DeviceCopy<std::uint8_t> mask_on_gpu(mask, c.shift);
  const DeviceCopy<double> loss_on_gpu({5.0});
  squared_error(Device::cpu(1), {}, args, {});
  args.y = y_on_gpu.data();
  args.target = target_on_gpu.data();
  if (c.masked) args.mask = mask_on_gpu.data();
  if (c.wants_dy) args.dy = c.in_place ? y_on_gpu.data() : dy_on_gpu.data();
  args.loss = loss_on_gpu.data();
  squared_error(Device::cuda(), {}, args, scratch.as<Scratch>());
  const std::string what = str_cat(c.elements, " elements");
  expect_near(loss_on_gpu.values(), {loss}, what);
  expect_near((c.in_place ? y_on_gpu : dy_on_gpu).values(), dy, what);
}

TEST_F(CudaTraining, SquaredErrorMatchesTheCpu) {
  on_device([&] {
    const DeviceMemory memory = scratch();
    for (const std::size_t elements : {0, 1, 2, 31, 255, 256, 1025, 5003}) {
      for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::relative}) {
        expect_error_matches_the_cpu({.elements = elements, .reduction = reduction}, memory);
        expect_error_matches_the_cpu({.elements = elements, .masked = false, .reduction = reduction}, memory);
      }
      expect_error_matches_the_cpu({.elements = elements, .wants_dy = false}, memory);
      expect_error_matches_the_cpu({.elements = elements, .in_place = true, .shift = 3}, memory);
    }
    expect_error_matches_the_cpu({.elements = 600'001, .shift = 1}, memory);  // more than the blocks at once
    expect_error_matches_the_cpu({.elements = 700, .with_nan = true}, memory);
    expect_error_matches_the_cpu({.elements = 700, .masked = false, .with_nan = true}, memory);
  });
}

/// Tensors of an optimizer on the CPU, and copies on the GPU.
struct TensorLists {
  explicit TensorLists(const std::vector<std::size_t>& sizes, float scale = 1, std::size_t shift = 0) {
    for (const std::size_t size : sizes) {
      for (int which = 0; which < 4; ++which) {
        std::vector<float>& values = on_cpu.emplace_back(noise(size, on_cpu.size()));
        for (float& value : values) value = which == 3 ? std::abs(value) : value * (which == 1 ? scale : 1);
      }
    }
    for (const std::vector<float>& values : on_cpu)
      on_gpu.push_back(std::make_unique<DeviceCopy<float>>(values, shift));
  }
  std::vector<TrainedTensor> tensors(bool on_device) {
    std::vector<TrainedTensor> list;
    for (std::size_t k = 0; k < on_cpu.size(); k += 4) {
      const auto at = [&](std::size_t which) {
        return on_device ? on_gpu[k + which]->data() : on_cpu[k + which].data();
      };
      list.push_back({at(0), at(1), at(2), at(3), static_cast<std::int64_t>(on_cpu[k].size())});
    }
    return list;
  }
  void expect_same(const std::string& what) const {
    for (std::size_t k = 0; k < on_cpu.size(); ++k)
      expect_near(on_gpu[k]->values(), on_cpu[k], str_cat(what, ", tensor ", k / 4, '.', k % 4));
  }
  std::vector<std::vector<float>> on_cpu;  // value, gradient, first and second moment of each
  std::vector<std::unique_ptr<DeviceCopy<float>>> on_gpu;
};

std::vector<std::size_t> odd_sizes() { return {1, 0, 3, 1023, 1024, 1025, 31, 2049, 0}; }
std::vector<std::size_t> many_sizes() {  // more than one launch takes
  std::vector<std::size_t> sizes(101);
  std::iota(sizes.begin(), sizes.end(), 0);
  return sizes;
}

TEST_F(CudaTraining, ClipMatchesTheCpu) {
  on_device([&] {
    const DeviceMemory memory = scratch();
    const auto expect_same = [&](TensorLists list, double max_norm, const char* what) {
      double norm = 0;
      const DeviceCopy<double> norm_on_gpu({7.0});
      clip_gradients(Device::cpu(1), {}, list.tensors(false), max_norm, &norm, {});
      clip_gradients(Device::cuda(), {}, list.tensors(true), max_norm, norm_on_gpu.data(),
                     memory.as<Scratch>());
      expect_near(norm_on_gpu.values(), {norm}, what);
      list.expect_same(what);
    };
    expect_same(TensorLists(odd_sizes()), .5, "clipped");
    expect_same(TensorLists(odd_sizes(), 1, 1), .5, "misaligned");
    expect_same(TensorLists(odd_sizes()), 1e6, "left alone");
    expect_same(TensorLists(odd_sizes(), 1e25f), 1, "squares beyond a float");
    expect_same(TensorLists(odd_sizes(), std::numeric_limits<float>::infinity()), 1, "infinite");
    expect_same(TensorLists(many_sizes()), .5, "a hundred tensors");
    expect_same(TensorLists({}), 1, "none");
    expect_same(TensorLists({0, 0}), 1, "empty ones");
    expect_same(TensorLists({600'001}), 1, "a large one");
    TensorLists with_nan(odd_sizes());
    with_nan.on_cpu[13][5] = nan;
    with_nan.on_gpu[13] = std::make_unique<DeviceCopy<float>>(with_nan.on_cpu[13]);
    expect_same(std::move(with_nan), .5, "not a number");
  });
}

TEST_F(CudaTraining, AdamMatchesTheCpu) {
  on_device([&] {
    const auto expect_same = [&](TensorLists list, const char* what) {
      const AdamOptions options{.learning_rate = .1, .beta1 = .8, .epsilon = 1e-3};
      for (std::int64_t step = 1; step <= 3; ++step) {
        const AdamScales scales = adam_scales(options, step);
        const DeviceCopy<AdamScales> scales_on_gpu({scales});
        adam_step(Device::cpu(1), {}, list.tensors(false), options, &scales);
        adam_step(Device::cuda(), {}, list.tensors(true), options, scales_on_gpu.data());
        synchronize(Device::cuda(), {});
      }
      list.expect_same(what);
    };
    expect_same(TensorLists(odd_sizes()), "odd sizes");
    expect_same(TensorLists(odd_sizes(), 1, 1), "misaligned");
    expect_same(TensorLists(many_sizes()), "a hundred tensors");
    expect_same(TensorLists({}), "none");
    TensorLists with_nan(odd_sizes());
    with_nan.on_cpu[13][5] = nan;
    with_nan.on_gpu[13] = std::make_unique<DeviceCopy<float>>(with_nan.on_cpu[13]);
    expect_same(std::move(with_nan), "not a number");
  });
}

TEST_F(CudaTraining, EveryOptimizerMatchesTheCpu) {
  on_device([&] {
    const UpdateOptions all[] = {
        {.learning_rate = .1},
        {.method = Method::sgd, .learning_rate = .1},
        {.method = Method::sgd, .learning_rate = .1, .momentum = .9},
        {.method = Method::rmsprop, .learning_rate = .1, .epsilon = 1e-3},
        {.method = Method::rmsprop, .learning_rate = .1, .epsilon = 1e-3, .momentum = .5}};
    for (const UpdateOptions& options : all) {
      TensorLists list(odd_sizes());
      const auto tensors = [&](bool on_device) {
        std::vector<TrainedTensor> all_tensors = list.tensors(on_device);
        for (std::size_t k = 0; k < all_tensors.size(); ++k) {
          if (k % 2 == 1) all_tensors[k].learning_rate_factor = .5f;
          if (k % 3 == 1) all_tensors[k].weight_decay = .25f;
          if (!uses_first_moment(options)) all_tensors[k].first = nullptr;
          if (!uses_second_moment(options)) all_tensors[k].second = nullptr;
        }
        return all_tensors;
      };
      for (std::int64_t step = 1; step <= 3; ++step) {
        const UpdateScales scales = update_scales(options, step);
        const DeviceCopy<UpdateScales> scales_on_gpu({scales});
        const std::int32_t veto = step == 2 ? 4 : -1;  // the second step changes nothing
        const DeviceCopy<std::int32_t> veto_on_gpu({veto});
        update_step(Device::cpu(1), {}, tensors(false), options, &scales, &veto);
        update_step(Device::cuda(), {}, tensors(true), options, scales_on_gpu.data(), veto_on_gpu.data());
        synchronize(Device::cuda(), {});
        if (step == 1) list.expect_same(str_cat("method ", static_cast<int>(options.method), " step 1"));
      }
      list.expect_same(str_cat("method ", static_cast<int>(options.method)));
    }
  });
}

TEST_F(CudaTraining, FindsTheFirstGradientThatIsNotFinite) {
  on_device([&] {
    const auto found_in = [&](TensorLists& list) {
      const DeviceCopy<std::int32_t> on_gpu({77});
      std::int32_t on_cpu = 77;
      find_not_finite(Device::cpu(1), {}, list.tensors(false), &on_cpu);
      find_not_finite(Device::cuda(), {}, list.tensors(true), on_gpu.data());
      EXPECT_EQ(on_gpu.values()[0], on_cpu);
      return on_cpu;
    };
    const auto spoil = [](TensorLists& list, std::size_t tensor, std::size_t element, float value) {
      std::vector<float>& gradient = list.on_cpu[4 * tensor + 1];
      gradient[element] = value;
      list.on_gpu[4 * tensor + 1] = std::make_unique<DeviceCopy<float>>(gradient);
    };
    TensorLists list(many_sizes()), none({}), empty({0, 0});
    EXPECT_EQ(found_in(list), -1);
    EXPECT_EQ(found_in(none), -1);
    EXPECT_EQ(found_in(empty), -1);
    spoil(list, 100, 99, nan);  // in the second launch
    EXPECT_EQ(found_in(list), 100);
    spoil(list, 60, 0, -std::numeric_limits<float>::infinity());
    EXPECT_EQ(found_in(list), 60);
    TensorLists large({3, 600'001});
    spoil(large, 1, 600'000, std::numeric_limits<float>::infinity());
    EXPECT_EQ(found_in(large), 1);
  });
}

TEST_F(CudaTraining, WrongCallsAreNamed) {
  on_device([&] {
    const Device device = Device::cuda();
    const DeviceMemory memory = scratch();
    const auto has = [](const std::string& all, const char* part) {
      return all.find(part) != std::string::npos;
    };
    std::vector<float> host(4);
    const DeviceCopy<float> on_gpu(host);
    SquaredErrorArgs args{.elements = 4, .y = on_gpu.data(), .target = host.data()};
    EXPECT_PRED2(has, message_of([&] { squared_error(device, {}, args, memory.as<Scratch>()); }),
                 "args.target");
    args.target = on_gpu.data();
    EXPECT_PRED2(has, message_of([&] { squared_error(device, {}, args, {}); }), "scratch.data");
    Scratch small = memory.as<Scratch>();
    small.bytes -= 1;
    EXPECT_PRED2(has, message_of([&] { squared_error(device, {}, args, small); }), "scratch.bytes");
    std::vector<std::int64_t> labels(4);
    CrossEntropyArgs entropy{.rows = 4, .classes = 1, .logits = on_gpu.data(), .labels = labels.data()};
    const auto call = [&] { softmax_cross_entropy(device, {}, entropy, memory.as<Scratch>()); };
    EXPECT_PRED2(has, message_of(call), "args.labels: expected memory of CUDA device 0, got host memory");
    entropy.labels = nullptr;
    EXPECT_PRED2(has, message_of(call), "args.labels: expected 4 elements, got null");
    entropy.classes = 0;
    EXPECT_PRED2(has, message_of(call), "args.classes: expected at least 1, got 0");
    const std::vector<TrainedTensor> list{{on_gpu.data(), on_gpu.data(), on_gpu.data(), host.data(), 4}};
    const DeviceCopy<AdamScales> scales({AdamScales{}});
    EXPECT_PRED2(has, message_of([&] { adam_step(device, {}, list, {}, scales.data()); }),
                 "tensors[0].second");
    const AdamScales scales_on_cpu;
    EXPECT_PRED2(has, message_of([&] { adam_step(device, {}, {}, {}, &scales_on_cpu); }), "scales");
    double norm = 0;
    EXPECT_PRED2(has, message_of([&] { clip_gradients(device, {}, list, 1, &norm, memory.as<Scratch>()); }),
                 "norm");
  });
}

/// A whole iteration on buffers of the caller's own, as a program would write it.
class OwnIteration {
 public:
  OwnIteration()
      : plan_(spec_, {.steps = T, .batch = B, .device = device_}),
        tape_(device_, plan_.tape_bytes()),
        scratch_(device_, std::max(plan_.scratch_bytes(), training_scratch_bytes(device_))) {
    std::uint64_t seed = 1;
    for (const auto& member : Parameters<float>::members()) {
      const auto shape = parameter_shape(spec_, member.name);
      if (!shape) continue;
      const auto size = static_cast<std::size_t>(shape->elements());
      const auto zero = [&] { return keep(std::vector<float>(size)); };
      trained_.push_back({keep(noise(size, seed++)), zero(), zero(), zero(), shape->elements()});
      backward_.dparameters.*member.pointer = trained_.back().gradient;
    }
    std::size_t k = 0;
    for (const auto& member : Parameters<const float>::members()) {
      if (parameter_shape(spec_, member.name)) forward_.parameters.*member.pointer = trained_[k++].value;
    }
    forward_.inputs.x = keep(noise(T * B * 3, 50));
    forward_.y = keep(std::vector<float>(elements));
    error_ = {.elements = elements,
              .y = forward_.y,
              .target = keep(noise(elements, 51)),
              .dy = keep(std::vector<float>(elements)),
              .loss = loss_.data()};
    backward_.parameters = forward_.parameters;
    backward_.inputs = forward_.inputs;
    backward_.dy = error_.dy;
  }

  /// Enqueues the iteration.
  void enqueue(Stream on) const {
    plan_.forward(on, forward_, tape_.as<Tape>(), scratch_.as<Scratch>());
    squared_error(device_, on, error_, scratch_.as<Scratch>());
    for (const TrainedTensor& tensor : trained_)
      fill_zero(device_, on, tensor.gradient, static_cast<std::size_t>(tensor.elements) * sizeof(float));
    plan_.backward(on, backward_, tape_.as<Tape>(), scratch_.as<Scratch>());
    clip_gradients(device_, on, trained_, .1, norm_.data(), scratch_.as<Scratch>());
    adam_step(device_, on, trained_, options_, scales_.data());
  }
  void send_scales(Stream on, std::int64_t step) const {
    const AdamScales scales = adam_scales(options_, step);
    copy(device_, on, scales_.data(), &scales, sizeof scales);
  }
  Tensors snapshot() const {
    Tensors shown;
    for (std::size_t k = 0; k < kept_.size(); ++k) shown[std::to_string(k)] = kept_[k]->values();
    shown["loss"] = {static_cast<float>(loss_.values()[0]), static_cast<float>(norm_.values()[0])};
    return shown;
  }

 private:
  static constexpr std::int64_t T = 3, elements = T * B * 7;
  float* keep(const std::vector<float>& values) {
    return kept_.emplace_back(std::make_unique<DeviceCopy<float>>(values))->data();
  }

  const Spec spec_{.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 7, .clip = .5};
  const Device device_ = Device::cuda();
  const AdamOptions options_{.learning_rate = 1e-2};
  Plan plan_;
  DeviceMemory tape_, scratch_;
  std::vector<std::unique_ptr<DeviceCopy<float>>> kept_;
  std::vector<TrainedTensor> trained_;
  DeviceCopy<double> loss_{{0.0}}, norm_{{0.0}};
  DeviceCopy<AdamScales> scales_{{AdamScales{}}};
  ForwardArgs<float> forward_;
  BackwardArgs<float> backward_;
  SquaredErrorArgs error_;
};

TEST_F(CudaTraining, CallerMayCaptureAnIteration) {
  on_device([] {
    const OwnStream stream;
    const Stream on = stream;
    const OwnIteration separate, captured;
    for (std::int64_t step = 1; step <= 4; ++step) {
      separate.send_scales(on, step);
      separate.enqueue(on);
    }
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(on.handle, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    captured.enqueue(on);
    ASSERT_EQ(cudaStreamEndCapture(on.handle, &graph), cudaSuccess);
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    for (std::int64_t step = 1; step <= 4; ++step) {
      captured.send_scales(on, step);
      ASSERT_EQ(cudaGraphLaunch(executable, on.handle), cudaSuccess);
    }
    synchronize(Device::cuda(), on);
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    const Tensors got = captured.snapshot();
    EXPECT_EQ(got, separate.snapshot());
    EXPECT_GT(got.at("loss")[0], 0);
  });
}

}  // namespace
}  // namespace plasticity::testing
