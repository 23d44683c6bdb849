//! Images that people attached, made fit for a model: decoded within limits, drawn again, no larger than it looks at.

use std::io::Cursor;

use engine::port::Content;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, ImageResult, Limits};

/// Largest file that is looked into.
pub(super) const MAX_FILE: u64 = 5 * 1024 * 1024;
/// Longest edge; a model scales down what is longer.
const EDGE: u32 = 1568;
/// Most pixels of an edge that are decoded.
const MAX_EDGE: u32 = 10_000;
/// Most memory that decoding takes: twelve megapixels with four channels.
const MAX_MEMORY: u64 = 48 * 1024 * 1024;
/// Longest PNG; what is longer has so many colours that it is a photograph.
const MAX_PNG: usize = 1024 * 1024;
/// How much of a photograph is kept, of a hundred.
const QUALITY: u8 = 85;

/// Draws an image anew, so that nothing of the file is passed on but what can be seen.
pub(super) async fn fit(file: Vec<u8>) -> Content {
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
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_EDGE), Some(MAX_EDGE));
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits.clone());
    let photograph = reader.format() == Some(ImageFormat::Jpeg);
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    let turned = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(turned);
    if image.width().max(image.height()) > EDGE {
        image = image.thumbnail(EDGE, EDGE);
    }
    if !photograph {
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png)?;
        if png.get_ref().len() <= MAX_PNG {
            return Ok(("image/png", png.into_inner()));
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&image.to_rgb8())?;
    Ok(("image/jpeg", jpeg))
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

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
        // The head says 60,000 pixels an edge; nothing of that size is ever allocated.
        let mut bomb = good.clone();
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        assert!(draw(&bomb).is_err(), "a bomb");
        let large = file(&RgbImage::new(4_200, 4_200), ImageFormat::Png);
        assert!(draw(&large).is_err(), "more memory than there is for it");
    }

    #[test]
    fn nothing_of_the_file_is_passed_on_but_what_can_be_seen() {
        let mut file = file(&RgbImage::new(8, 8), ImageFormat::Png);
        file.extend_from_slice(b"<script>hidden behind the end</script>");
        let (_, bytes) = draw(&file).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"hidden"));
    }
}
