#include <cstdio>
#include <exception>

#include "plasticity/error.hpp"
#include "plasticity/version.hpp"
#include "tool/cli/commands.hpp"

int main(int argc, char** argv) {
  CLI::App app{"Differentiable plastic networks: train, verify and time them", "plasticity"};
  app.set_version_flag("--version", plasticity::version());
  app.require_subcommand(1);
  int exit_code = 0;
  try {
    plasticity::cli::add_info(app, exit_code);
    plasticity::cli::add_verify(app, exit_code);
    plasticity::cli::add_time(app, exit_code);
    plasticity::cli::add_train(app, exit_code);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const plasticity::Error& error) {
    std::fprintf(stderr, "plasticity: %s\n", error.what());
    return error.code() == plasticity::ErrorCode::io || error.code() == plasticity::ErrorCode::format ? 1 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "plasticity: %s\n", error.what());
    return 1;
  }
  return exit_code;
}
