module.exports = { poweredByHeader: false, images: { formats: ['image/webp'] } };
