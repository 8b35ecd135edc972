//! Sound from a microphone.

use super::{PIECE, Source};
use anyhow::{Context as _, Result, bail};
use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
use cpal::{
    BufferSize, Device, ErrorKind, FromSample, Sample as _, SampleFormat, SizedSample, Stream, StreamConfig,
    SupportedBufferSize, SupportedStreamConfig,
};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Seconds of sound that may wait for a busy program.
const RING_SECS: usize = 10;
/// Frames that the device hands over at once where it lets us choose: a power of two, or some sound servers
/// lose samples.
const BUFFER_FRAMES: u32 = 1024;

const NO_MICROPHONE: &str = "there is no microphone; plug one in (`auricle mdd mic --list-devices` shows what is \
    there), or judge a file with `auricle mdd score`";

/// A microphone at its own rate.
pub struct Microphone {
    samples: Consumer<f32>,
    rate: u32,
    state: Arc<State>,
    /// Records until dropped.
    _stream: Stream,
}

/// What the audio thread tells.
#[derive(Default)]
struct State {
    lost: AtomicUsize,
    gone: AtomicBool,
}

fn inputs() -> Result<Vec<(String, Device)>> {
    let devices = cpal::default_host().input_devices().context("cannot list microphones")?;
    let named = |device: Device| {
        let name = device.description().map(|description| description.name().to_string());
        (name.unwrap_or_else(|_| "unnamed".into()), device)
    };
    // ALSA always has a device that records nothing.
    let is_real = |device: &Device| device.id().is_ok_and(|id| id.id() != "null");
    Ok(devices.filter(is_real).map(named).collect())
}

/// Prints the microphones, with the rate that each would be used at.
pub fn list() -> Result<()> {
    let inputs = inputs()?;
    if inputs.is_empty() {
        bail!("{NO_MICROPHONE}");
    }
    for (i, (name, device)) in inputs.iter().enumerate() {
        match device.default_input_config() {
            Ok(config) => {
                outln!("{i}  {name}  {} Hz, {} channels", config.sample_rate(), config.channels())
            }
            Err(error) => outln!("{i}  {name}  not usable: {error}"),
        }
    }
    Ok(())
}

fn choose(name: Option<&str>) -> Result<Device> {
    let mut inputs = inputs()?;
    if inputs.is_empty() {
        bail!("{NO_MICROPHONE}");
    }
    let Some(name) = name else {
        return cpal::default_host().default_input_device().context(NO_MICROPHONE);
    };
    let place = name
        .parse::<usize>()
        .ok()
        .filter(|&i| i < inputs.len())
        .or_else(|| inputs.iter().position(|(own, _)| own == name))
        .with_context(|| format!("no microphone `{name}`; see `auricle mdd mic --list-devices`"))?;
    Ok(inputs.swap_remove(place).1)
}

impl Microphone {
    /// Opens a microphone by number or name, or the system's own.
    pub fn open(name: Option<&str>) -> Result<Self> {
        let device = choose(name)?;
        // Its own rate and channels: what the device does not have to convert is not lost on the way.
        let config = device.default_input_config().context(
            "the microphone offers no format; another program may be using it, or --input names another one",
        )?;
        let rate = config.sample_rate();
        let (producer, samples) = RingBuffer::new(RING_SECS * rate as usize);
        let state = Arc::new(State::default());
        let stream = match config.sample_format() {
            SampleFormat::I8 => stream::<i8>(&device, &config, producer, &state),
            SampleFormat::I16 => stream::<i16>(&device, &config, producer, &state),
            SampleFormat::I32 => stream::<i32>(&device, &config, producer, &state),
            SampleFormat::U8 => stream::<u8>(&device, &config, producer, &state),
            SampleFormat::U16 => stream::<u16>(&device, &config, producer, &state),
            SampleFormat::F32 => stream::<f32>(&device, &config, producer, &state),
            SampleFormat::F64 => stream::<f64>(&device, &config, producer, &state),
            other => bail!(
                "the microphone records {other} samples, which are not supported; choose another --input"
            ),
        }?;
        stream.play().context("the microphone cannot be started")?;
        Ok(Self { samples, rate, state, _stream: stream })
    }
}

fn stream<T: SizedSample + Send + 'static>(
    device: &Device,
    supported: &SupportedStreamConfig,
    mut producer: Producer<f32>,
    state: &Arc<State>,
) -> Result<Stream>
where
    f32: FromSample<T>,
{
    let mut config: StreamConfig = supported.config();
    if let SupportedBufferSize::Range { min, max } = *supported.buffer_size()
        && (min..=max).contains(&BUFFER_FRAMES)
    {
        config.buffer_size = BufferSize::Fixed(BUFFER_FRAMES);
    }
    let channels = usize::from(config.channels).max(1);
    let (here, there) = (state.clone(), state.clone());
    // On the audio thread: no allocation, no lock.
    let take = move |data: &[T], _: &cpal::InputCallbackInfo| {
        for frame in data.chunks_exact(channels) {
            let sum: f32 = frame.iter().map(|x| f32::from_sample(*x)).sum();
            if producer.push(sum / channels as f32).is_err() {
                here.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let fail = move |error: cpal::Error| match error.kind() {
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
        _ => there.gone.store(true, Ordering::Relaxed),
    };
    let opened = device.build_input_stream(config, take, fail, None);
    opened.context("the microphone cannot be opened; another program may be using it, or it is not allowed")
}

impl Source for Microphone {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool> {
        std::thread::sleep(PIECE);
        while let Ok(sample) = self.samples.pop() {
            samples.push(sample);
        }
        let lost = self.state.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            errln!("warning: {lost} samples were lost: this machine is too busy to follow");
        }
        if self.state.gone.load(Ordering::Relaxed) {
            errln!("warning: the microphone is gone; what it recorded is judged");
            return Ok(false);
        }
        Ok(true)
    }
}
