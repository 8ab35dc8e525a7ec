// The program that mpirun starts in the tests:
//   mpi_ranks calls                        all calls of the communicator, with values that other orders would
//                                          change
//   mpi_ranks train CHECKPOINT ITERATIONS  a training that continues from the checkpoint and writes one per
//                                          iteration
//   mpi_ranks fail HOW                     rank 1 fails after a while: throws, hangs, ends, or makes another
//                                          call; or it hangs before MPI_Init ("init"), before it has its
//                                          communicator ("begin"), or after its work ("end")
// Without mpirun it is one rank. Each rank writes its process id to PIDS.RANK if the environment has PIDS. A
// rank with an error prints it and exits with 1.
#include <mpi.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "communicator/values.hpp"
#include "plasticity/plasticity.hpp"

namespace {

using namespace plasticity;
using testing::sums_of, testing::values_of;

void expect(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(std::string("wrong: ") + what);
}

void calls(Communicator& ranks) {
  for (const std::size_t count : {0u, 1u, 7u, 1024u, 1025u, 100'003u}) {
    std::vector<float> floats = values_of<float>(ranks.rank(), count);
    ranks.sum(std::span(floats));
    expect(floats == sums_of<float>(ranks.size(), count), "sum of floats");
    std::vector<double> doubles = values_of<double>(ranks.rank(), count);
    ranks.sum(std::span(doubles));
    expect(doubles == sums_of<double>(ranks.size(), count), "sum of doubles");
  }
  for (int root = 0; root < ranks.size(); ++root) {
    std::vector<int> values(9, ranks.rank());
    ranks.broadcast(std::span(values), root);
    expect(values == std::vector<int>(9, root), "broadcast");
    ranks.barrier();
  }
  std::vector<std::int64_t> first{0};
  for (int r = 0; r < ranks.size(); ++r) first.push_back(first.back() + (r == 1 ? 0 : 3 * r + 1));
  for (int repeat = 0; repeat < 5000; ++repeat) {  // more calls than there are tags
    std::vector<int> values(static_cast<std::size_t>(first.back()), -1);
    for (auto k = first[static_cast<std::size_t>(ranks.rank())];
         k < first[static_cast<std::size_t>(ranks.rank()) + 1]; ++k)
      values[static_cast<std::size_t>(k)] = static_cast<int>(k) + repeat;
    ranks.all_gather(std::span(values), first);
    for (std::size_t k = 0; k < values.size(); ++k)
      expect(values[k] == static_cast<int>(k) + repeat, "all_gather");
  }
  if (ranks.rank() == 0) std::printf("%d ranks agree\n", ranks.size());
}

void train(Communicator* ranks, const std::filesystem::path& checkpoint, long iterations) {
  constexpr std::int64_t T = 4, B = 8, N = 12;
  const BatchSlice slice = slice_of(ranks, B);
  Network network({.rate = Rate::fan_out, .neurons = N},
                  {.batch = slice.count, .device = Device::cpu(1), .seed = 1});
  Trainer trainer(network, {.clip_norm = .1, .reduction = Reduction::relative, .communicator = ranks});
  long iteration = 0;
  if (std::filesystem::exists(checkpoint)) {
    const io::TensorFile file = io::load(checkpoint);
    network.load(file);
    trainer.load(file);
    iteration = std::stol(file.metadata.at("iteration"));
  }
  if (ranks != nullptr) ranks->barrier();  // all ranks have read the file before it is replaced
  for (; iteration < iterations; ++iteration) {
    std::mt19937_64 random(static_cast<std::uint64_t>(iteration));  // the same episode on every rank
    std::vector<float> u, target;
    for (std::int64_t t = 0; t < T; ++t) {
      for (std::int64_t b = 0; b < B; ++b) {
        for (std::int64_t n = 0; n < N; ++n) {
          const float value = static_cast<float>(random() % 1000) / 500 - 1;
          if (b < slice.first || b >= slice.first + slice.count) continue;
          u.push_back(value);
          target.push_back(value * value);
        }
      }
    }
    network.reset();
    const double loss = trainer.step({.steps = T, .u = u}, target);
    if (ranks != nullptr && ranks->rank() != 0) continue;
    io::TensorFile file;
    network.save(file);
    trainer.save(file);
    file.tensors["loss"] = io::make_tensor({1}, std::span<const double>(&loss, 1));
    file.metadata["iteration"] = std::to_string(iteration + 1);
    io::save(checkpoint, file);
  }
}

[[noreturn]] void hang() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

/// The failures before a rank has its communicator.
void fail_at_begin(const std::string& how) {
  int rank = 0;
  if (how == "begin") {
    MPI_Init(nullptr, nullptr);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  }
  if (how == "init") {
    for (const char* name : {"PMI_RANK", "OMPI_COMM_WORLD_RANK"})
      if (const char* value = std::getenv(name)) rank = std::atoi(value);
  }
  if (rank == 1) hang();
}

void fail(Communicator& ranks, const std::string& how) {
  if (how == "end") {
    if (ranks.rank() == 1) hang();
    return;
  }
  std::vector<float> values(2000, 1);
  for (int k = 0;; ++k) {
    if (k == 20 && ranks.rank() == 1) {
      if (how == "throws") throw std::runtime_error("rank 1 throws");
      if (how == "hangs") hang();
      if (how == "ends") std::_Exit(0);
      if (how == "calls") ranks.barrier();
    }
    ranks.sum(std::span(values).first(how == "sizes" && k == 20 && ranks.rank() == 1 ? 1000 : 2000));
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string mode = count > 1 ? arguments[1] : "";
  std::unique_ptr<Communicator> ranks;
  try {
    if (mode == "fail" && count == 3) fail_at_begin(arguments[2]);
    ranks = environment_communicator();
    const std::string rank = std::to_string(ranks == nullptr ? 0 : ranks->rank());
    if (const char* pids = std::getenv("PIDS")) {
      const std::filesystem::path file = std::string(pids) + "." + rank, unfinished = file.string() + ".new";
      std::ofstream(unfinished) << getpid() << "\n";
      std::filesystem::rename(unfinished, file);
    }
    if (mode == "calls" && ranks != nullptr) calls(*ranks);
    if (mode == "train" && count == 4) train(ranks.get(), arguments[2], std::atol(arguments[3]));
    if (mode == "fail" && count == 3 && ranks != nullptr) fail(*ranks, arguments[2]);
    return 0;
  } catch (const std::exception& error) {
    if (ranks != nullptr) {
      std::fprintf(stderr, "on rank %d: %s\n", ranks->rank(), error.what());
      ranks->abort(1);
    }
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
