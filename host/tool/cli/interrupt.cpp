#include "tool/cli/interrupt.hpp"

#include <csignal>

namespace plasticity::cli {
namespace {

volatile std::sig_atomic_t flag = 0;

// Whether the program was started with SIGHUP ignored, as nohup does. UCX, a library of MPI, replaces the
// signal's action when it is loaded. Functions of .preinit_array run before.
bool ignores_hangup = false;

void read_hangup() {
  struct sigaction action {};
  ignores_hangup = sigaction(SIGHUP, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}
[[gnu::section(".preinit_array"), gnu::used]] void (*const run_at_load)() = read_hangup;

extern "C" void on_signal(int signal) {
  flag = signal;
  std::signal(signal, SIG_DFL);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  flag = 0;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGHUP, ignores_hangup ? SIG_IGN : on_signal);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGHUP, ignores_hangup ? SIG_IGN : SIG_DFL);
}

int InterruptGuard::signal() const { return flag; }

}  // namespace plasticity::cli
