#include "commands.hpp"

#include <string>
#include <vector>

int main(int count, char** words) {
  const std::vector<std::string> arguments(words + 1, words + count);
  return tapestry::app::run(arguments);
}
