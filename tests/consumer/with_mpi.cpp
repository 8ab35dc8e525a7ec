// A user's program with plasticity::mpi: one rank without mpirun.
#include <plasticity/plasticity.hpp>

int main() {
  using namespace plasticity;
  if (!mpi_unavailable_reason().empty() || environment_communicator() != nullptr) return 1;
  const std::unique_ptr<Communicator> ranks = mpi_communicator();
  std::vector<float> values{1, 2};
  ranks->sum(std::span(values));
  return ranks->size() == 1 && ranks->rank() == 0 && values[1] == 2 ? 0 : 1;
}
