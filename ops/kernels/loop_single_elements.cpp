#include <tapestry/ops/kernels/loop_plan.hpp>

namespace tapestry::kernels {
namespace {

class Search {
 public:
  explicit Search(const Loop& loop) : loop_(loop), same_in_row_(loop) {}

  /// The instruction that reads what instruction i adds up, if it is the one element whose number in the row
  /// is the same as a value.
  std::optional<Instruction> single_element(const Instruction& sum) const {
    const Instruction* select = instruction(sum.a, Code::select);
    if (sum.code != Code::row_sum || !select || !is_zero(select->b)) return {};
    const Instruction* equal = instruction(select->c, Code::eq);
    if (!equal) return {};
    for (const auto& [number, value] : {std::pair(equal->a, equal->b), {equal->b, equal->a}}) {
      if (is_number_in_row(number) && same_in_row_(value)) return Instruction{Code::row_at, select->a, value};
    }
    return {};
  }

 private:
  const Instruction* instruction(const Operand& operand, Code code) const {
    if (operand.kind != Operand::Kind::result || loop_.code[operand.index].code != code) return nullptr;
    return &loop_.code[operand.index];
  }

  bool is_zero(const Operand& operand) const {
    return operand.kind == Operand::Kind::constant &&
           (loop_.lane == Lane::i64 ? operand.integer == 0 : operand.value == 0);
  }

  /// A position along the only dimension of a row that has more than one.
  bool is_number_in_row(const Operand& operand) const {
    const Instruction* index = instruction(operand, Code::index);
    return index && index->dim >= *loop_.row && loop_.extents[index->dim] == elements_of_row(loop_);
  }

  const Loop& loop_;
  const RowValues same_in_row_;
};

}  // namespace

void read_single_elements(Loop& loop) {
  if (!loop.row) return;
  const Search search(loop);
  for (Instruction& instruction : loop.code) {
    if (const auto single = search.single_element(instruction)) instruction = *single;
  }
}

}  // namespace tapestry::kernels
