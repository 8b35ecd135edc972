//! The end of a run: the weights that it gives, and what is said of them.

use super::{Outcome, Trainer};
use crate::average::mean_of_weights;
use crate::files::write_weights;
use crate::report::SECTIONS;
use crate::{Checkpoint, Export, Task, TrainError};
use auricle_io::atomic_write;
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
        let path = self.run.join("model.safetensors");
        write_weights(&path, &tensors, &metadata, Precision::F32)?;
        self.write_sections()?;
        self.log.finish()?;
        Ok(outcome)
    }

    /// What the task says of the exported weights on the validation set, for the report.
    fn write_sections(&mut self) -> Result<(), TrainError> {
        if self.validation.is_empty() || !self.task.reports() {
            return Ok(());
        }
        self.validation_metrics()?;
        let path = self.run.join(SECTIONS);
        let json =
            serde_json::to_vec_pretty(&self.task.report()).map_err(|e| TrainError::Data(e.to_string()))?;
        atomic_write(&path, &json).map_err(TrainError::io(&path))
    }

    /// Which data, by which recipe, for how long.
    fn provenance(&self) -> String {
        let data: Vec<String> =
            self.recipe.data.train.iter().map(|path| path.display().to_string()).collect();
        let hours = self.train.speech().iter().map(|u| u.duration_secs).sum::<f64>() / 3600.0;
        format!(
            "{}; {hours:.2} h of {}; {} steps; recipe {}; auricle {}",
            if self.recipe.description.is_empty() { &self.recipe.task } else { &self.recipe.description },
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
