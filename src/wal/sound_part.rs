//! What of a damaged log is sound, without changing anything: the directory is shown as
//! [`set_aside`](super::set_aside()) would leave it.

use std::io;

use super::disk::Disk;
use super::error::{RecoverError, io_error};
use super::format::{HEADER_BYTES, Header, Identity, RECORDS_START};
use super::judge::is_sound;
use super::{segment_name, segment_number};

/// A log's directory, of which only what comes before the first damage is shown. Read-only.
#[derive(Clone, Debug)]
pub struct SoundPart<D> {
    disk: D,
    /// No segment with this number or a higher one is shown.
    hidden_from: u64,
    /// The newest segment that is shown, where it has damage: where that begins, where reading ends,
    /// and how long the segment was made, which is the length that is shown.
    cut: Option<(String, u64, u64)>,
}

impl<D: Disk> SoundPart<D> {
    /// Finds the sound part, and the first damage where there is any.
    pub fn of(
        disk: D,
        expect: Option<Identity>,
    ) -> Result<(SoundPart<D>, Option<RecoverError>), RecoverError> {
        let mut part = SoundPart { disk, hidden_from: u64::MAX, cut: None };
        let mut damage = None;
        loop {
            let Err(error) = is_sound(&mut part, expect) else { return Ok((part, damage)) };
            let RecoverError::Corrupt { file, offset, .. } = &error else { return Err(error) };
            let number = segment_number(file).expect("damage is in a segment");
            part.cut(number, *offset)?;
            damage.get_or_insert(error);
        }
    }

    /// Shows nothing from `offset` of segment `number` on. Each call hides more.
    fn cut(&mut self, number: u64, offset: u64) -> Result<(), RecoverError> {
        let file = segment_name(number);
        let is_less = self.cut.as_ref().is_none_or(|(cut, at, _)| *cut != file || offset < *at);
        let mut bytes = [0; HEADER_BYTES];
        let count = match self.disk.read_at(&file, 0, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            read => read.map_err(io_error(&file))?,
        };
        match Header::decode(&bytes[..count]) {
            Ok(header)
                if is_less && header.number == number && offset > u64::from(RECORDS_START) =>
            {
                self.hidden_from = number + 1;
                self.cut = Some((file, offset, u64::from(header.length)));
            }
            _ => {
                self.hidden_from = number;
                self.cut = None;
            }
        }
        Ok(())
    }

    fn is_shown(&self, name: &str) -> bool {
        segment_number(name).is_some_and(|number| number < self.hidden_from)
    }

    fn cut_of(&self, name: &str) -> Option<(u64, u64)> {
        let (_, at, length) = self.cut.as_ref().filter(|(cut, ..)| cut == name)?;
        Some((*at, *length))
    }
}

/// Nothing is changed here.
fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this view of a log is for reading only")
}

impl<D: Disk> Disk for SoundPart<D> {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = self.disk.list()?;
        names.retain(|name| self.is_shown(name));
        Ok(names)
    }

    fn length(&mut self, name: &str) -> io::Result<u64> {
        match self.cut_of(name) {
            Some((_, length)) => Ok(length),
            None => self.disk.length(name),
        }
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let sound = match self.cut_of(name) {
            Some((at, _)) => at.saturating_sub(offset).min(buffer.len() as u64) as usize,
            None => buffer.len(),
        };
        self.disk.read_at(name, offset, &mut buffer[..sound])
    }

    fn create(&mut self, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn preallocate(&mut self, _: &str, _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn give_back(&mut self, _: &str, _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn shorten(&mut self, _: &str, _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn write_at(&mut self, _: &str, _: u64, _: &[u8]) -> io::Result<()> {
        Err(refused())
    }

    fn fdatasync(&mut self, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn remove(&mut self, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        Err(refused())
    }

    fn random(&mut self) -> io::Result<u64> {
        Err(refused())
    }
}
