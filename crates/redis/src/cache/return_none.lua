return { 'none' }
