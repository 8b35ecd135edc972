//! The end of a run: the weights that it gives, and what is said of them.

use super::{Outcome, Trainer};
use crate::average::mean_of_weights;
use crate::files::write_weights;
use crate::{Checkpoint, Export, Task, TrainError, Validation};
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::Precision;

impl<T: Task> Trainer<T> {
    /// Ends the run: the weights that `train.export` names become `model.safetensors`.
    pub(super) fn finish(&mut self, outcome: Outcome) -> Result<Outcome, TrainError> {
        self.swap_average();
        self.restore_best()?;
        let (tensors, mut metadata) = self.task.export()?;
        let about = &self.recipe.about;
        let provenance = about.provenance.clone().unwrap_or_else(|| self.provenance());
        metadata.insert("provenance".into(), provenance);
        if let Some(licence) = &about.licence {
            metadata.insert("licence".into(), licence.clone());
        }
        // Before the weights: a run that has these is whole.
        self.write_validation()?;
        let path = self.run.join("model.safetensors");
        write_weights(&path, &tensors, &metadata, Precision::F32)?;
        self.log.finish()?;
        Ok(outcome)
    }

    /// What the exported weights are worth on the validation set.
    fn write_validation(&mut self) -> Result<(), TrainError> {
        if self.validation.is_empty() {
            return Ok(());
        }
        let metrics = self.validation_metrics()?;
        let sections = if self.task.reports() { self.task.report() } else { Vec::new() };
        Validation::new(self.task.selection(), &metrics, sections).write(&self.run)
    }

    /// Which data, by which recipe, for how long.
    fn provenance(&self) -> String {
        let data: Vec<String> =
            self.recipe.data.train.iter().map(|path| path.display().to_string()).collect();
        let hours = self.train.speech().iter().map(|u| u.duration_secs).sum::<f64>() / 3600.0;
        format!(
            "{}; {hours:.2} h of {}; {} steps; recipe {}; auricle {}",
            self.recipe.title(),
            data.join(", "),
            self.progress.step,
            self.progress.recipe_hash.get(..12).unwrap_or_default(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    fn restore_best(&mut self) -> Result<(), TrainError> {
        let used = match self.recipe.train.export {
            Export::Last => 0,
            Export::Best => 1,
            Export::Average => usize::MAX,
        };
        let averaged = self.average.is_some();
        let models = self.progress.best.iter().take(used).map(|&(_, step)| {
            let checkpoint = Checkpoint::read(&self.best_path(step))?;
            Ok(if averaged { checkpoint.average } else { checkpoint.model })
        });
        let Some(mut tensors) = mean_of_weights(models)? else { return Ok(()) };
        self.put_weights(&mut tensors).map_err(|error| TrainError::Task(error.to_string()))
    }

    /// Puts weights into the trained model, which stays as it is where they do not fit.
    pub(super) fn put_weights(&mut self, tensors: &mut NamedTensors) -> Result<(), params::LoadError> {
        let mut failure = None;
        self.task.map_model(&mut |model| {
            let kept = model.clone();
            params::load(model, "", tensors).unwrap_or_else(|error| {
                failure = Some(error);
                kept
            })
        });
        failure.map_or(Ok(()), Err)
    }
}
