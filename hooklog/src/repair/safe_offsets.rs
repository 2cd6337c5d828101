//! What needs nobody's yes: offsets that lose and double nothing. For the start after a power loss.

use anyhow::{Result, bail};
use hooklog_schemas::{NextOffset, Partition};

use super::group::{Group, Row};
use super::plan::Case;

/// Records of `raw` that were acknowledged, and that others have seen, are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostRaw {
    pub(crate) partition: Partition,
    /// Where `raw` ends now.
    pub(crate) end: NextOffset,
}

impl Group {
    /// Gives the group the offsets at which nothing is doubled and nothing lost. Where `raw` itself has lost records, writes
    /// nothing and says where.
    pub(crate) fn repair_safe_offsets(&self) -> Result<Result<(), Vec<LostRaw>>> {
        let rows = self.rows(None)?;
        let lost: Vec<LostRaw> = rows.iter().filter(|row| row.mended.case.is_loss_of_raw()).map(lost).collect();
        if !lost.is_empty() {
            return Ok(Err(lost));
        }
        let wrong: Vec<&Row> =
            rows.iter().filter(|row| row.mended.case.is_harmless() && !row.is_of_another_log).collect();
        if !wrong.is_empty() {
            self.wait_until_empty()?;
            for row in &wrong {
                let (partition, new, why) = (row.facts.partition.0, row.mended.new.0, row.mended.case.why());
                tracing::warn!(partition, new, why, "the processor's offset is written anew");
            }
            self.write(wrong.into_iter())?;
        }
        Ok(Ok(()))
    }

    /// Where a window begins that the processor takes up now: N of each partition, while nobody moves it.
    pub(crate) fn where_a_window_begins(&self) -> Result<Vec<NextOffset>> {
        self.wait_until_empty()?;
        let begin = |row: Row| match row.mended.case {
            case if case == Case::Right || case.is_harmless() => Ok(row.mended.new),
            case => bail!(
                "partition {}: the processor's committed offset is not valid ({}), so the offset at which the new window begins is not known. Run `hooklog offsets repair` first, then start again with --change-window",
                row.facts.partition,
                case.why()
            ),
        };
        self.rows(None)?.into_iter().map(begin).collect()
    }
}

fn lost(row: &Row) -> LostRaw {
    LostRaw { partition: row.facts.partition, end: row.facts.input.end }
}
