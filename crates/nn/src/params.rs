//! Parameters by name: reading them out of a module and putting them in.
//!
//! A parameter is named by its path in the module tree, `stages.0.convs.1.conv.weight`.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use std::collections::BTreeMap;

/// Parameters by name.
pub type NamedTensors = BTreeMap<String, TensorData>;

/// Why parameters could not be put into a module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The module has a parameter that is not there.
    #[error("parameter `{0}` is missing: the weights are of another architecture or incomplete")]
    Missing(String),
    /// Fewer values than the configuration asks for.
    #[error(
        "the weights hold {found} values, their configuration asks for {expected}: they are damaged or of another model"
    )]
    Count {
        /// Values of all tensors.
        found: usize,
        /// Values of the model.
        expected: usize,
    },
    /// A parameter has another shape.
    #[error("parameter `{name}` has shape {found:?}, the model needs {expected:?}: check the configuration")]
    Shape {
        /// Its name.
        name: String,
        /// The module's shape.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
}

/// Every floating-point parameter of a module, by name.
pub fn collect<M: Module>(module: &M) -> NamedTensors {
    let mut visitor = Collect { path: Vec::new(), tensors: BTreeMap::new() };
    module.visit(&mut visitor);
    visitor.tensors
}

/// Number of trained values: the running statistics of batch normalisation are not trained.
pub fn count<M: Module>(module: &M) -> usize {
    let trained = |name: &String| !name.ends_with(".running_mean") && !name.ends_with(".running_var");
    let tensors = collect(module);
    tensors.iter().filter(|(name, _)| trained(name)).map(|(_, data)| data.num_elements()).sum()
}

/// Whether tensors have as many values as a model that is to be made for them: a small file must not make a large
/// model.
///
/// # Errors
/// Fewer of them.
pub fn check_count(tensors: &NamedTensors, expected: usize) -> Result<(), LoadError> {
    let found = tensors.values().map(TensorData::num_elements).fold(0, usize::saturating_add);
    if found < expected { Err(LoadError::Count { found, expected }) } else { Ok(()) }
}

/// Puts named values into a module; what is taken is removed from `tensors`.
///
/// `prefix` is put before the module's own names (with a dot) to look them up.
/// Whether a parameter is trained stays as it was.
pub fn load<M: Module>(module: M, prefix: &str, tensors: &mut NamedTensors) -> Result<M, LoadError> {
    let mut mapper = Load { path: vec![prefix.to_string()], tensors, error: None };
    let module = module.map(&mut mapper);
    match mapper.error {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// The module with its parameters rounded to a precision; gradients of what it computes reach `module`'s
/// own parameters, in their precision.
pub fn cast<M: Module>(module: &M, dtype: FloatDType) -> M {
    module.clone().map(&mut Cast(dtype))
}

/// A tensor in a precision; as it is where it has it already.
pub fn cast_tensor<const D: usize>(x: Tensor<D>, dtype: FloatDType) -> Tensor<D> {
    if x.dtype() == DType::from(dtype) { x } else { x.cast(dtype) }
}

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| cast_tensor(value, self.0))
    }
}

fn join(path: &[String]) -> String {
    path.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(".")
}

struct Collect {
    path: Vec<String>,
    tensors: NamedTensors,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.insert(join(&self.path), param.val().into_data());
    }
}

struct Load<'a> {
    path: Vec<String>,
    tensors: &'a mut NamedTensors,
    error: Option<LoadError>,
}

impl ModuleMapper for Load<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = join(&self.path);
        let (expected, device, trained) = {
            let value = param.val();
            (value.dims().to_vec(), value.device(), value.is_require_grad())
        };
        let Some(data) = self.tensors.remove(&name) else {
            self.error.get_or_insert(LoadError::Missing(name));
            return param;
        };
        if data.shape().to_vec() != expected {
            self.error.get_or_insert(LoadError::Shape { name, expected, found: data.shape().to_vec() });
            return param;
        }
        param.map(|_| Tensor::from_data(data, &device).set_require_grad(trained))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, EncoderConfig, Initializer};
    use auricle_rng::{Key, Purpose};
    use burn::tensor::Device;

    const CONFIG: &str = r#"{ "bins": 16, "stages": [
        { "convs": [{ "channels": 16, "kernel": 5, "stride": 2, "activation": true }],
          "transformer": { "layers": 1, "heads": 2, "feed_forward": 32,
                           "positional": { "kernel": 8, "groups": 4 } } },
        { "convs": [{ "channels": 24, "kernel": 5, "stride": 2, "activation": true }, { "channels": 32 }],
          "transformer": { "layers": 2, "heads": 4, "feed_forward": 48,
                           "positional": { "kernel": 8, "groups": 4 } } }] }"#;

    /// In training mode, with padding: nearly the same values, gradients of the same direction, in single
    /// precision and for every parameter.
    #[test]
    fn an_encoder_that_computes_in_bf16_trains_its_own_parameters() {
        let device = Device::flex().autodiff();
        let key = Key::new(5);
        let config: EncoderConfig = serde_json::from_str(CONFIG).unwrap();
        let encoder = config.init(&mut Initializer::new(&mut key.stream(Purpose::Init), &device));
        let mut values = key.stream(Purpose::Test);
        let values: Vec<f32> = (0..2 * 32 * 16).map(|_| values.normal() as f32).collect();
        let run = |dtype: FloatDType| {
            let mel = Tensor::<3>::from_data(TensorData::new(values.clone(), [2, 32, 16]), &device);
            let computing = cast(&encoder, dtype);
            let mut context = Context::train(key.stream(Purpose::Dropout), key.stream(Purpose::LayerDrop));
            let (x, _) = computing.forward(cast_tensor(mel, dtype), &[32, 21], &mut context);
            assert_eq!(x.dtype(), DType::from(dtype), "something inside changes the precision");
            let x = cast_tensor(x, FloatDType::F32).narrow(0, 0, 1);
            let mut gradients = (x.clone() * x.clone()).mean().backward();
            let mut found = Gradients { all: Vec::new(), gradients: &mut gradients };
            encoder.visit(&mut found);
            (x.into_data().try_to_vec::<f32>().unwrap(), found.all)
        };
        let ((exact, exact_gradients), (rounded, gradients)) = (run(FloatDType::F32), run(FloatDType::BF16));
        assert!(exact != rounded, "nothing was rounded");
        assert!(cosine(&exact, &rounded) > 0.99, "{}", cosine(&exact, &rounded));
        assert_eq!(gradients.len(), collect(&encoder).len());
        assert!(cosine(&exact_gradients.concat(), &gradients.concat()) > 0.95);
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    struct Gradients<'g> {
        all: Vec<Vec<f32>>,
        gradients: &'g mut burn::tensor::Gradients,
    }

    impl ModuleVisitor for Gradients<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad_remove(self.gradients).unwrap();
            self.all.push(gradient.into_data().try_to_vec::<f32>().unwrap());
        }
    }
}
