//! Parameters by name: reading them out of a module and putting them in.
//!
//! A parameter is named by its path in the module tree, `stages.0.convs.1.conv.weight`.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// Parameters by name.
pub type NamedTensors = BTreeMap<String, TensorData>;

/// Why parameters could not be put into a module.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The module has a parameter that is not there.
    #[error("parameter `{0}` is missing: the weights are of another architecture or incomplete")]
    Missing(String),
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
