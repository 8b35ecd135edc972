//! Writing a checkpoint takes no further copy of the weights. A program of its own: it looks at the peak
//! memory of its whole process.

use auricle_nn::params::NamedTensors;
use auricle_train::log::peak_memory_mib;
use auricle_train::{Checkpoint, Progress};
use burn::tensor::TensorData;

#[test]
fn a_checkpoint_is_written_without_a_copy_of_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let part = |value: f32| {
        let tensor = |i: i32| (format!("w{i}"), TensorData::new(vec![value; 1 << 22], [1 << 11, 1 << 11]));
        (0..4).map(tensor).collect::<NamedTensors>()
    };
    // 256 MiB in all.
    let checkpoint = Checkpoint {
        progress: Progress::default(),
        model: part(1.0),
        average: part(2.0),
        optimizer: part(3.0),
        task: part(4.0),
    };
    let Some(before) = peak_memory_mib() else { return };
    let path = folder.path().join("last.safetensors");
    checkpoint.write(&path).unwrap();
    let grown = peak_memory_mib().unwrap() - before;
    println!("writing 256 MiB took {grown:.0} MiB more");
    assert!(grown < 16.0, "{grown} MiB more for writing");
    assert!(Checkpoint::read(&path).unwrap().task == checkpoint.task);
}
