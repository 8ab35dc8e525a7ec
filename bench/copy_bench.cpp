// The copy bandwidth of the machine for sizes within and beyond the caches, for one thread and for all:
// copy/BYTES/THREADS. Other benchmarks report their share of it.
#include <benchmark/benchmark.h>

#include "copy.hpp"
#include "harness.hpp"

namespace plasticity::bench {
namespace {

void run(benchmark::State& state, Device device, std::size_t footprint) {
  Copier copier(device, footprint);
  std::int64_t rounds = 1;
  while (copier.seconds(rounds) < 1e-3) rounds *= 2;  // makes the start of the threads negligible
  for (auto _ : state) state.SetIterationTime(copier.seconds(rounds));
  state.SetBytesProcessed(state.iterations() * rounds * static_cast<std::int64_t>(copier.bytes()));
}

}  // namespace

void register_copies() {
  std::vector<Device> all = devices();
  if (all[0].threads() > 1) all.insert(all.begin(), Device::cpu(1));
  for (const Device device : all) {
    for (std::size_t kilobytes = 32; kilobytes <= 256 << 10; kilobytes *= device.threads() == 0 ? 8 : 4) {
      std::string name = "copy/" + std::to_string(kilobytes) + "KiB/" + to_string(device.kind());
      if (device.kind() == DeviceKind::cpu) name += "/threads_" + std::to_string(device.threads());
      benchmark::RegisterBenchmark(name.c_str(), [device, kilobytes](benchmark::State& state) {
        run(state, device, kilobytes << 10);
      })->UseManualTime();
    }
  }
}

}  // namespace plasticity::bench
