//! Recipes, the trainer, schedules, checkpoints, logs and reports.
