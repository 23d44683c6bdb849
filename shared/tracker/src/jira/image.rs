//! Images that people attached, made fit for a model: decoded within limits, drawn again, no larger than it looks at.

use std::io::Cursor;

use engine::port::Content;
use image::codecs::jpeg::JpegEncoder;
use image::error::{LimitError, LimitErrorKind};
use image::imageops::overlay;
use image::{
    DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, ImageResult, Limits, RgbImage, Rgba,
    RgbaImage,
};
use tokio::sync::Semaphore;

/// Largest file that is looked into.
pub(super) const MAX_FILE: u64 = 5 * 1024 * 1024;
/// Media types that are looked into.
pub(super) const KINDS: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// Longest edge; a model scales down what is longer.
const EDGE: u32 = 1568;
/// Most pixels: a screen of 3840 by 2160. A JPEG that comes in several scans takes twelve bytes for each of them.
const MAX_PIXELS: u64 = 3_840 * 2_160;
/// Most memory that a decoder takes for itself, where it can be told.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;
/// Longest PNG; what is longer has so many colours that it is a photograph.
const MAX_PNG: usize = 1024 * 1024;
/// How much of a photograph is kept, of a hundred.
const QUALITY: u8 = 85;

/// One image at a time in a process: what one takes is bounded, and what several take at once is not.
static ALONE: Semaphore = Semaphore::const_new(1);

/// Draws an image anew, so that nothing of the file is passed on but what can be seen.
pub(super) async fn fit(file: Vec<u8>) -> Content {
    let Ok(_alone) = ALONE.acquire().await else {
        return Content::Unread;
    };
    let drawn = tokio::task::spawn_blocking(move || draw(&file)).await;
    match drawn {
        Ok(Ok((kind, bytes))) => Content::Image { kind, bytes },
        Ok(Err(error)) => {
            tracing::debug!(%error, "an attached image cannot be read");
            Content::Unread
        }
        Err(_) => Content::Unread,
    }
}

fn draw(file: &[u8]) -> ImageResult<(&'static str, Vec<u8>)> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits.clone());
    let photograph = reader.format() == Some(ImageFormat::Jpeg);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::Limits(LimitError::from_kind(LimitErrorKind::DimensionError)));
    }
    limits.reserve(decoder.total_bytes())?;
    let turned = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    if width.max(height) > EDGE {
        image = image.thumbnail(EDGE, EDGE);
    }
    image.apply_orientation(turned);
    let image = on_white(&image);
    if !photograph {
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png)?;
        if png.get_ref().len() <= MAX_PNG {
            return Ok(("image/png", png.into_inner()));
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&image)?;
    Ok(("image/jpeg", jpeg))
}

/// An image as people see it on a page: what is transparent is white, and its own colour is nobody's to read.
fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let mut seen = RgbaImage::from_pixel(image.width(), image.height(), Rgba([255; 4]));
    overlay(&mut seen, &image.to_rgba8(), 0, 0);
    DynamicImage::from(seen).into_rgb8()
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn file(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn size(bytes: &[u8]) -> (u32, u32) {
        let image = image::load_from_memory(bytes).unwrap();
        (image.width(), image.height())
    }

    #[test]
    fn images_of_every_format_are_drawn_anew_within_limits() {
        let plain = RgbImage::from_pixel(3_136, 10, Rgb([200, 30, 40]));
        for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let (kind, bytes) = draw(&file(&plain, format)).unwrap();
            assert_eq!((kind, size(&bytes)), ("image/png", (1_568, 5)), "{format:?}");
        }
        let (kind, bytes) = draw(&file(&plain, ImageFormat::Jpeg)).unwrap();
        assert_eq!((kind, size(&bytes)), ("image/jpeg", (1_568, 5)));

        // A picture of noise is too long as PNG.
        let mut seed = 1_u32;
        let noise = RgbImage::from_fn(1_000, 1_000, |_, _| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [_, red, green, blue] = seed.to_be_bytes();
            Rgb([red, green, blue])
        });
        let (kind, bytes) = draw(&file(&noise, ImageFormat::Png)).unwrap();
        assert_eq!((kind, size(&bytes)), ("image/jpeg", (1_000, 1_000)));
        assert!(bytes.len() < 2_000_000, "{}", bytes.len());
    }

    #[test]
    fn what_is_no_image_or_too_large_a_one_is_not_shown() {
        let good = file(&RgbImage::new(64, 64), ImageFormat::Png);
        assert!(draw(&good).is_ok());
        assert!(draw(&good[..good.len() / 2]).is_err(), "cut off");
        assert!(draw(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>").is_err(), "no format that is known");
        // The head says so many pixels, and is whole: nothing of that size is ever allocated.
        let mut bomb = good.clone();
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let sum = crc32fast::hash(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(matches!(draw(&bomb), Err(ImageError::Limits(_))), "a bomb");
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
            let large = file(&RgbImage::new(3_840, 2_161), format);
            assert!(matches!(draw(&large), Err(ImageError::Limits(_))), "{format:?} with a line too many");
        }
    }

    #[test]
    fn what_is_transparent_is_white_whatever_colour_it_has() {
        let mut hidden = RgbaImage::from_pixel(2, 1, Rgba([10, 20, 30, 0]));
        hidden.put_pixel(1, 0, Rgba([0, 0, 0, 128]));
        let mut png = Cursor::new(Vec::new());
        hidden.write_to(&mut png, ImageFormat::Png).unwrap();
        let (_, bytes) = draw(png.get_ref()).unwrap();
        let seen = image::load_from_memory(&bytes).unwrap();
        assert!(!seen.color().has_alpha());
        assert_eq!(seen.to_rgb8().into_raw(), [255, 255, 255, 127, 127, 127]);
    }

    #[test]
    fn nothing_of_the_file_is_passed_on_but_what_can_be_seen() {
        let mut file = file(&RgbImage::new(8, 8), ImageFormat::Png);
        file.extend_from_slice(b"<script>hidden behind the end</script>");
        let (_, bytes) = draw(&file).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"hidden"));
    }
}
