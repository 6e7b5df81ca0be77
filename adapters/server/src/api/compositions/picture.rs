//! The picture of a composition, as a request has it.

use parlour_files::compose::{Layout, Region, Video, VideoError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sound::ParticipantSet;
use crate::api::problem::Problem;

/// The picture of a composition. Who has no picture is a plate with its name; around who speaks there is a frame.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CompositionVideo {
    /// Pixels, an even number.
    #[schema(minimum = 160, maximum = 1920)]
    width: u32,
    /// Pixels, an even number.
    #[schema(minimum = 90, maximum = 1080)]
    height: u32,
    /// Pictures in a second.
    #[schema(minimum = 1, maximum = 30)]
    fps: u32,
    layout: VideoLayout,
    /// With `regions` only: 32 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    regions: Vec<VideoRegion>,
}

impl Default for CompositionVideo {
    fn default() -> Self {
        Self {
            width: 1_280,
            height: 720,
            fps: 25,
            layout: VideoLayout::Grid,
            regions: Vec::new(),
        }
    }
}

/// Who stands where in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VideoLayout {
    /// All who are there.
    Grid,
    /// The active speaker large, up to six others in a column beside it.
    Speaker,
    /// The active speaker only.
    Single,
    /// Those whom `regions` name, where they say.
    Regions,
}

/// A part of the picture, in which participants stand in a grid.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VideoRegion {
    /// Pixels from the left.
    x: u32,
    /// Pixels from above.
    y: u32,
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
    /// Regions with a higher number stand in front.
    #[serde(default)]
    z: i32,
    /// As many as there is need of, if they are left out.
    #[schema(minimum = 1, maximum = 16)]
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<u8>,
    /// As many as there is need of, if they are left out.
    #[schema(minimum = 1, maximum = 16)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u8>,
    /// Who stands in it; `"rest"` is who stands in no region by name.
    sources: ParticipantSet,
}

impl CompositionVideo {
    pub(super) fn checked(self) -> Result<Video, Problem> {
        let has_regions = !self.regions.is_empty();
        if (self.layout == VideoLayout::Regions) != has_regions {
            let detail = "it goes with the layout `regions`, and that with at least one of them";
            return Err(Problem::invalid_member("/video/regions", detail));
        }
        let regions = self.regions.into_iter().enumerate().map(|(index, region)| {
            let sources = region.sources;
            Ok(Region {
                x: region.x,
                y: region.y,
                width: region.width,
                height: region.height,
                z: region.z,
                columns: region.columns,
                rows: region.rows,
                sources: sources.checked(&format!("/video/regions/{index}/sources"))?,
            })
        });
        let regions = regions.collect::<Result<Vec<_>, Problem>>()?;
        let video = Video {
            width: self.width,
            height: self.height,
            fps: self.fps,
            layout: match self.layout {
                VideoLayout::Grid => Layout::Grid,
                VideoLayout::Speaker => Layout::Speaker,
                VideoLayout::Single => Layout::Single,
                VideoLayout::Regions => Layout::Regions(regions),
            },
        };
        let Err(error) = video.check() else {
            return Ok(video);
        };
        let pointer = match error {
            VideoError::Width => "/video/width".to_owned(),
            VideoError::Height => "/video/height".to_owned(),
            VideoError::Rate => "/video/fps".to_owned(),
            VideoError::Region(index) => format!("/video/regions/{index}"),
            VideoError::Columns(index) => format!("/video/regions/{index}/columns"),
            VideoError::Rows(index) => format!("/video/regions/{index}/rows"),
            _ => "/video/regions".to_owned(),
        };
        Err(Problem::invalid_member(&pointer, error.to_string()))
    }
}

impl From<Video> for CompositionVideo {
    fn from(video: Video) -> Self {
        let (layout, regions) = match video.layout {
            Layout::Grid => (VideoLayout::Grid, Vec::new()),
            Layout::Speaker => (VideoLayout::Speaker, Vec::new()),
            Layout::Single => (VideoLayout::Single, Vec::new()),
            Layout::Regions(regions) => (VideoLayout::Regions, regions),
        };
        let region = |region: Region| VideoRegion {
            x: region.x,
            y: region.y,
            width: region.width,
            height: region.height,
            z: region.z,
            columns: region.columns,
            rows: region.rows,
            sources: region.sources.into(),
        };
        Self {
            width: video.width,
            height: video.height,
            fps: video.fps,
            layout,
            regions: regions.into_iter().map(region).collect(),
        }
    }
}
