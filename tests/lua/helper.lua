return { step = function(b, x) return b.t_step { latent = x } end }
