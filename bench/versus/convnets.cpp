#include "training.hpp"

#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/models/resnet.hpp>
#include <tapestry/models/speedrun.hpp>
#include <tapestry/models/three_layer.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/sgd.hpp>

#include <algorithm>
#include <array>
#include <string>

namespace versus {
namespace {

using namespace tapestry;

PixelScale normalized(const ImageSet& images) {
  return normalized_channels(images.image_shape(), kCifar10ChannelMeans, kCifar10ChannelDeviations);
}

std::shared_ptr<Training> speedrun(Precision precision) {
  constexpr std::int64_t batch = 2000;
  const ImageSet images = noise();
  const PixelScale scale = normalized(images);
  auto model = std::make_unique<SpeedrunNet>();
  model->look_at(images, scale);
  const Optimizer optimizer = speedrun_optimizer(model->state(), batch);
  // A rate that noise can be trained with for as long as this takes.
  return std::make_shared<Training>(std::move(model), images, scale, batch, optimizer, 0.01f, precision);
}

std::shared_ptr<Training> resnet20(Precision precision) {
  const ImageSet images = noise();
  auto model = std::make_unique<ResNet>(ResNetOptions::cifar(20));
  const Optimizer momentum(model->state(), AccumulatedMomentum(0.9));
  return std::make_shared<Training>(std::move(model), images, normalized(images), 128, momentum, 0.01f,
                                    precision);
}

std::shared_ptr<Training> three_layer(Precision precision) {
  const ImageSet images = noise();
  auto model = std::make_unique<ThreeLayerConvNet>();
  const Optimizer adam(model->state(), Adam{});
  return std::make_shared<Training>(std::move(model), images, normalized(images), 100, adam, 1e-3f,
                                    precision);
}

/// The convolutions of a compiled program, each by itself: what they alone would take.
class Convolutions {
 public:
  explicit Convolutions(const Program& program) {
    const Graph& graph = program.graph();
    std::array<std::size_t, 3> most{};
    for (ValueId id = 0; id < graph.size(); ++id) {
      const Node& node = graph.node(id);
      if (!node.op->name.starts_with("conv2d")) continue;
      Call call{.op = node.op, .attrs = node.attrs, .y = graph.type(id)};
      for (std::size_t i = 0; i < 2; ++i) {
        call.x[i] = graph.type(graph.inputs(id)[i]);
        most[i] = std::max(most[i], call.x[i].bytes());
      }
      most[2] = std::max(most[2], call.y.bytes());
      call.op->reserve(call.x, call.y, call.attrs);
      calls_.push_back(std::move(call));
    }
    require(!calls_.empty(), "the program has no convolutions");
    for (std::size_t i = 0; i < 3; ++i) {
      // 0.50196 in f32 as in bf16: 0x3f00 and 0x3f01 by turns, no zeros that might be one page.
      memory_[i] = Tensor::full<float>({std::int64_t(most[i] / 4 + 1)}, 0.50196f);
    }
  }

  void run() {
    for (const Call& call : calls_) {
      const std::array<ConstView, 2> x{ConstView{memory_[0].data(), call.x[0]},
                                       ConstView{memory_[1].data(), call.x[1]}};
      call.op->kernel({x, {memory_[2].mutable_data(), call.y}, call.attrs});
    }
  }

 private:
  struct Call {
    const Op* op;
    Attrs attrs;
    Type y;
    std::array<Type, 2> x{};
  };
  std::vector<Call> calls_;
  std::array<Tensor, 3> memory_;
};

Case step(std::string name, std::shared_ptr<Training> (*make)(Precision), Precision precision) {
  return {std::move(name), [=]() -> Run { return [all = make(precision)] { all->once(); }; }};
}

}  // namespace

std::vector<Case> convnet_cases() {
  return {
      step("step/speedrun_bf16", speedrun, Precision::bf16),
      step("step/speedrun_f32", speedrun, Precision::f32),
      step("step/resnet20_bf16", resnet20, Precision::bf16),
      step("step/resnet20_f32", resnet20, Precision::f32),
      step("step/three_layer_bf16", three_layer, Precision::bf16),
      step("step/three_layer_f32", three_layer, Precision::f32),
      {"convolutions/speedrun_bf16",
       []() -> Run {
         const auto training = speedrun(Precision::bf16);
         const auto all =
             std::make_shared<Convolutions>(training->step.program(training_types(*training->model, 2000)));
         return [all] { all->run(); };
       }},
  };
}

}  // namespace versus
