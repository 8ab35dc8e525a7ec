// Properties of the training kernels that only the executor can test: schedules (and races, if the program is
// built with ThreadSanitizer), offsets beyond 2^31.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "plasticity/device_memory.hpp"
#include "plasticity/training.hpp"
#include "simt/schedules.hpp"
#include "simt/sparse_memory.hpp"
#include "training/launch.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t beyond = (std::int64_t{1} << 31) + 256;

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

/// Runs the loss, clipping and a step of Adam over two tensors. Returns everything that they wrote.
std::vector<float> iteration() {
  constexpr std::int64_t sizes[] = {1500, 37};
  const Device device = Device::cuda();
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<DeviceMemory> memory;
  const auto floats = [&](std::int64_t size, float sign) {
    std::vector<float> values(at(size));
    for (float& value : values) value = sign < 0 ? std::abs(uniform(random)) : sign * uniform(random);
    memory.emplace_back(device, values.size() * sizeof(float));
    copy(device, {}, memory.back().data(), values.data(), memory.back().bytes());
    return static_cast<float*>(memory.back().data());
  };
  const DeviceMemory scratch(device, training_scratch_bytes(device)), results(device, 3 * sizeof(double)),
      scales(device, sizeof(AdamScales));
  const AdamScales first = adam_scales({}, 1);
  copy(device, {}, scales.data(), &first, sizeof first);
  auto* const loss = static_cast<double*>(results.data());
  std::vector<TrainedTensor> tensors;
  for (const std::int64_t size : sizes)
    tensors.push_back({floats(size, 1), floats(size, 1), floats(size, 0), floats(size, -1), size});
  squared_error(device, {},
                {.elements = sizes[0],
                 .y = tensors[0].gradient,
                 .target = tensors[0].value,
                 .reduction = Reduction::relative,
                 .dy = tensors[0].gradient,
                 .loss = loss},
                scratch.as<Scratch>());
  std::vector<std::int64_t> labels(50);
  for (std::size_t row = 0; row < labels.size(); ++row) labels[row] = static_cast<std::int64_t>(row % 31) - 1;
  const DeviceMemory labels_on_gpu(device, labels.size() * sizeof(std::int64_t));
  copy(device, {}, labels_on_gpu.data(), labels.data(), labels_on_gpu.bytes());
  softmax_cross_entropy(device, {},
                        {.rows = 50,
                         .classes = 30,
                         .logits = tensors[0].value,
                         .labels = static_cast<const std::int64_t*>(labels_on_gpu.data()),
                         .dlogits = tensors[0].first,
                         .loss = loss + 2},
                        scratch.as<Scratch>());
  clip_gradients(device, {}, tensors, .01, loss + 1, scratch.as<Scratch>());
  adam_step(device, {}, tensors, {}, static_cast<const AdamScales*>(scales.data()));
  synchronize(device, {});
  std::vector<float> all;
  for (const DeviceMemory& piece : memory) {
    std::vector<float> values(piece.bytes() / sizeof(float));
    copy(device, {}, values.data(), piece.data(), piece.bytes());
    all.insert(all.end(), values.begin(), values.end());
  }
  double scalars[3];
  copy(device, {}, scalars, loss, sizeof scalars);
  for (const double scalar : scalars) all.push_back(static_cast<float>(scalar));
  return all;
}

TEST(TrainingUnderTheExecutor, AnyScheduleGivesTheSameBits) {
  std::vector<float> want;
  simt::run([&] { want = iteration(); });
  EXPECT_GT(want.end()[-2], .01f);  // it was clipped
  EXPECT_GT(want.back(), 1.0f);     // the cross-entropy of random logits of 30 classes
  const simt::Outcome outcome = simt::try_schedules(4, [&] { return iteration() == want; });
  EXPECT_EQ(outcome.failures, 0) << outcome.first_failure;
}

TEST(TrainingUnderTheExecutor, OffsetsBeyondTwoToTheThirtyOneOfALoss) {
  simt::SparseArray<float> y(at(beyond)), target(at(beyond)), dy(at(beyond));
  const std::int64_t last = beyond - 1;
  y[at(last)] = 3;
  target[at(last)] = 1;
  double loss = 0;
  std::vector<SquaredSums> partial(cuda::max_summing_blocks);
  const simt::KeepConfig keep;
  simt::run([&] {
    simt::config().only_block = [](auto block) { return block.x == 0; };  // the last elements are its
    cuda::launch_squared_error({.elements = beyond,
                                .y = y.data(),
                                .target = target.data(),
                                .reduction = Reduction::sum,
                                .dy = dy.data(),
                                .loss = &loss},
                               partial.data(), nullptr);
    synchronize(Device::cuda(), {});
  });
  EXPECT_EQ(loss, 4);
  EXPECT_EQ(dy[at(last)], 4);
  EXPECT_EQ(dy[at(last - 300)], 0);
}

TEST(TrainingUnderTheExecutor, OffsetsBeyondTwoToTheThirtyOneOfACrossEntropy) {
  constexpr std::int64_t classes = 4096, last = (std::int64_t{1} << 31) / classes, rows = last + 1;
  simt::SparseArray<float> logits(at(rows * classes)), dlogits(at(rows * classes));
  simt::SparseArray<std::int64_t> labels(at(rows));
  logits[at(last * classes + 3)] = 100;
  labels[at(last)] = 2;
  double loss = 0;
  std::vector<CrossEntropySums> partial(cuda::max_summing_blocks);
  const simt::KeepConfig keep;
  simt::run([&] {
    simt::config().only_block = [](auto block) { return block.x == 0; };  // the last row is its
    cuda::launch_cross_entropy({.rows = rows,
                                .classes = classes,
                                .logits = logits.data(),
                                .labels = labels.data(),
                                .dlogits = dlogits.data(),
                                .loss = &loss},
                               partial.data(), nullptr);
    synchronize(Device::cuda(), {});
  });
  constexpr double count = 1025;  // rows of block 0: the last, and 1024 of equal logits
  EXPECT_NEAR(loss, (1024 * std::log(4096.0) + 100) / count, 1e-9);
  EXPECT_FLOAT_EQ(dlogits[at(last * classes + 3)], static_cast<float>(1 / count));
  EXPECT_FLOAT_EQ(dlogits[at(last * classes + 2)], static_cast<float>(-1 / count));
  EXPECT_NEAR(dlogits[at(last * classes + 1)], 0, 1e-20);
}

TEST(TrainingUnderTheExecutor, OffsetsBeyondTwoToTheThirtyOneOfAdam) {
  simt::SparseArray<float> value(at(beyond)), gradient(at(beyond)), first(at(beyond)), second(at(beyond));
  const std::int64_t last = beyond - 1, chunks = (beyond - 1) / cuda::chunk_elements + 1;
  value[at(last)] = 1;
  gradient[at(last)] = 4;
  cuda::TensorTable table{};
  table.count = 1;
  table.tensors[0] = {value.data(), gradient.data(), first.data(), second.data(), beyond};
  table.first_chunk[1] = chunks;
  std::vector<double> partial(cuda::max_summing_blocks);
  double norm = 0;
  const AdamScales scales = adam_scales({.learning_rate = .1}, 1);
  const simt::KeepConfig keep;
  simt::run([&] {
    // The block of the last chunk, in grids of 512 and of 4096; and the first, which writes the norm.
    simt::config().only_block = [&](auto block) { return block.x == 0 || block.x == (chunks - 1) % 4096; };
    ASSERT_EQ((chunks - 1) % 4096, (chunks - 1) % 512);
    cuda::launch_squares(table, partial.data(), cuda::max_summing_blocks, false, nullptr);
    cuda::launch_clip(table, partial.data(), cuda::max_summing_blocks, 2, &norm, nullptr);
    cuda::launch_update(table, {}, &scales, nullptr, nullptr);
    synchronize(Device::cuda(), {});
  });
  EXPECT_EQ(norm, 4);
  EXPECT_EQ(gradient[at(last)], 2);
  EXPECT_FLOAT_EQ(first[at(last)], .2f);
  EXPECT_NEAR(value[at(last)], .9f, 1e-6);
  EXPECT_EQ(value[at(last - 1)], 0);
}

}  // namespace
}  // namespace plasticity::testing
