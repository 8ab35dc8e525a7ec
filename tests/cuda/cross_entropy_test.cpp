// The softmax cross-entropy on a GPU against the CPU, on the caller's buffers.
#include <limits>

#include "base/str_cat.hpp"
#include "cuda/device_copy.hpp"
#include "cuda/on_device.hpp"
#include "plasticity/training.hpp"
#include "problems/episode.hpp"

namespace plasticity::testing {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class CudaCrossEntropy : public CudaTest {};

struct EntropyCase {
  std::size_t rows, classes;
  float scale = 1;
  bool wants_gradient = true, with_nan = false, labelled = true;
  std::size_t shift = 0;
};

void expect_entropy_matches_the_cpu(const EntropyCase& c, const DeviceMemory& scratch) {
  std::vector<float> logits = noise(c.rows * c.classes, 1), dlogits(logits.size(), 9);
  for (float& logit : logits) logit *= c.scale;
  if (c.with_nan) logits[c.classes] = nan;
  std::vector<std::int64_t> labels(c.rows);
  for (std::size_t row = 0; row < c.rows; ++row) {
    labels[row] = c.labelled && row % 3 != 2 ? static_cast<std::int64_t>((7 * row + 1) % c.classes) : -1;
  }
  double loss = 5;
  CrossEntropyArgs args{.rows = static_cast<std::int64_t>(c.rows),
                        .classes = static_cast<std::int64_t>(c.classes),
                        .logits = logits.data(),
                        .labels = labels.data(),
                        .dlogits = c.wants_gradient ? dlogits.data() : nullptr,
                        .loss = &loss};
  softmax_cross_entropy(Device::cpu(1), {}, args, {});
  for (std::int64_t& label : labels) {  // no label, for a GPU
    if (label < 0 && c.shift > 0) label = static_cast<std::int64_t>(c.classes);
  }
  const DeviceCopy<float> logits_on_gpu(logits, c.shift),
      dlogits_on_gpu(std::vector<float>(logits.size(), 9), c.shift);
  const DeviceCopy<std::int64_t> labels_on_gpu(labels, c.shift);
  const DeviceCopy<double> loss_on_gpu({5.0});
  args.logits = logits_on_gpu.data();
  args.labels = labels_on_gpu.data();
  if (c.wants_gradient) args.dlogits = dlogits_on_gpu.data();
  args.loss = loss_on_gpu.data();
  softmax_cross_entropy(Device::cuda(), {}, args, scratch.as<Scratch>());
  const std::string what = str_cat(c.rows, " x ", c.classes);
  expect_near(loss_on_gpu.values(), {loss}, what);
  expect_near(dlogits_on_gpu.values(), dlogits, what);
}

TEST_F(CudaCrossEntropy, MatchesTheCpu) {
  on_device([&] {
    const DeviceMemory memory(Device::cuda(), training_scratch_bytes(Device::cuda()));
    for (const std::size_t rows : {0, 1, 2, 7, 8, 9, 67}) {
      for (const std::size_t classes : {1, 2, 5, 31, 32, 33, 100}) {
        expect_entropy_matches_the_cpu({.rows = rows, .classes = classes}, memory);
      }
      expect_entropy_matches_the_cpu({.rows = rows, .classes = 40, .wants_gradient = false}, memory);
      expect_entropy_matches_the_cpu({.rows = rows, .classes = 6, .scale = 120, .shift = 1}, memory);
      expect_entropy_matches_the_cpu({.rows = rows, .classes = 6, .labelled = false}, memory);
    }
    expect_entropy_matches_the_cpu({.rows = 8 * 4096 + 5, .classes = 2}, memory);  // more than the warps
    expect_entropy_matches_the_cpu({.rows = 20, .classes = 10, .with_nan = true}, memory);
  });
}

}  // namespace
}  // namespace plasticity::testing
