-- A fresh value.
if fresh then
    return entry('fresh')
end
return { 'none' }
